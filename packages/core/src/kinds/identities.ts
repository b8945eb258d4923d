declare const meshBrand: unique symbol
declare const serviceBrand: unique symbol

/** The name of a mesh. */
export type MeshName = string & { readonly [meshBrand]: true }
/** The name of a service: the value of its service tag. */
export type ServiceName = string & { readonly [serviceBrand]: true }

// The names come from rows: the mesh of a key, the value of a tag, the member of a range. Any text is valid.
export const meshName = (text: string): MeshName => text as MeshName
export const serviceName = (text: string): ServiceName => text as ServiceName
