/**
 * Kubernetes kinds that occur in documentation from which users copy, each with a sentence that states what to do
 * instead.
 */
const sentences: Readonly<Record<string, string>> = {
  MeshGatewayInstance:
    'it requests a Deployment from an operator in a Kubernetes cluster. Here a gateway is a process: start `zonemesh dataplane` in its zone, with a Dataplane of networking.gateway.type BUILTIN and the kuma.io/service that the MeshGateway selects',
  Deployment:
    'apply it in the cluster (kubectl apply). Here a Dataplane describes a process: of networking.gateway.type DELEGATED where the page has the annotation kuma.io/gateway, and `zonemesh dataplane` starts the proxy beside it',
  Service:
    'apply it in the cluster (kubectl apply). No Service is needed for a name here: the resolver of every zone answers <service>.<namespace>.svc.<port>.mesh',
  Ingress:
    'apply it in the cluster of its ingress controller. Here a MeshGatewayRoute leads paths and hosts to services, or your own gateway is given the .mesh name of the service',
  IngressClass:
    'apply it in the cluster of its ingress controller: it configures how the controller sends to services, and no gateway here needs it',
  IngressClassParameters:
    'apply it in the cluster of its ingress controller: it configures how the controller sends to services, and no gateway here needs it',
  Gateway: 'it is of the Gateway API of Kubernetes. Write its listeners as a MeshGateway',
  HTTPRoute: 'it is of the Gateway API of Kubernetes. Write it as a MeshGatewayRoute with conf.http',
  TLSRoute:
    'it is of the Gateway API of Kubernetes. Write it as a MeshGatewayRoute with conf.tcp, bound to a listener of protocol TLS',
  TCPRoute: 'it is of the Gateway API of Kubernetes. Write it as a MeshGatewayRoute with conf.tcp',
}

/**
 * Why a Kubernetes document is rejected, if its kind has no meaning here; undefined for kinds that have a universal
 * form.
 */
export function foreignReason(
  document: Readonly<Record<string, unknown>>,
  isKnown: (kind: string) => boolean,
): string | undefined {
  const { apiVersion, kind } = document
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined
  const own = sentences[kind]
  if (apiVersion.startsWith('kuma.io/') && isKnown(kind) && own === undefined) return undefined
  const sentence = own ?? 'apply it in the cluster (kubectl apply)'
  return `${kind} (${apiVersion}) belongs to Kubernetes: ${sentence}`
}
