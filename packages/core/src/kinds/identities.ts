declare const meshBrand: unique symbol
declare const serviceBrand: unique symbol

/** The name of a mesh. */
export type MeshName = string & { readonly [meshBrand]: true }
/** The name of a service, as its tag has it. */
export type ServiceName = string & { readonly [serviceBrand]: true }

// Rows say which texts these are: the mesh of a key, the value of a tag, a member of a range. Any text may be one.
export const meshName = (text: string): MeshName => text as MeshName
export const serviceName = (text: string): ServiceName => text as ServiceName
