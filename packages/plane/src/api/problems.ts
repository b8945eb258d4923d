/**
 * Every refusal of the API, by status and title. `ApiError` accepts no other pair. docs/errors.md is written from this
 * table.
 */
export const problems = [
  {
    status: 400,
    title: 'Bad Request',
    cause:
      'the body, a query parameter or the path is not what the route expects; `detail` names what was expected and found',
    remedy: 'correct the request as `detail` states; the same request is refused again',
  },
  {
    status: 400,
    title: 'Could not process a resource',
    cause:
      'a document breaks rules of its kind, or it names another resource than the URL; `invalid_parameters` has each field',
    remedy: 'correct the fields; `zonemesh schema KIND` and docs/resources.md have the fields of each kind',
  },
  {
    status: 400,
    title: 'Failed to create a resource',
    cause:
      'the resource is valid by itself, but not on this plane: a label contradicts its mesh or zone, an address or port belongs to the plane, or an authority is wrong',
    remedy: 'correct the fields that `invalid_parameters` names',
  },
  {
    status: 400,
    title: 'Failed to update a resource',
    cause: 'as for "Failed to create a resource", when the resource exists',
    remedy: 'correct the fields that `invalid_parameters` names; the stored version stays in force',
  },
  {
    status: 400,
    title: 'Could not delete a resource',
    cause: 'others depend on the resource: a Mesh still has Dataplanes, or the control plane of a Zone is connected',
    remedy: 'remove the Dataplanes of the mesh, or stop the control plane of the zone, and delete again',
  },
  {
    status: 400,
    title: 'Could not issue a token',
    cause: 'a field of the request is wrong, or this plane has no signing key for such tokens',
    remedy: 'correct the fields, or request the token at the API that `detail` names',
  },
  {
    status: 400,
    title: 'Could not retrieve resources',
    cause: 'the page size, the offset or a filter of a list is wrong',
    remedy: 'use a `size` from 1 to 1000, an `offset` of digits, and filters of the form `filter[labels.KEY]=VALUE`',
  },
  {
    status: 401,
    title: 'Invalid authentication data',
    cause:
      'the token or the proof of the admin key is expired, revoked, signed with another key or not a token; or there is none and the plane runs with `--anonymous none`',
    remedy: 'send a valid user token (`zonemesh token user`), or run the command as the user who runs the plane',
  },
  {
    status: 403,
    title: 'Access Denied',
    cause: 'the caller is no administrator, or its `Host` is no name of the plane',
    remedy: 'send the token of an administrator, or add the name with `--api-hosts`; see docs/security.md',
  },
  {
    status: 404,
    title: 'Could not find a kind',
    cause: 'the path belongs to a kind of Kuma that is not served',
    remedy: 'use what `detail` names instead; docs/served.md lists what is served',
  },
  {
    status: 404,
    title: 'Could not retrieve a resource',
    cause: 'no resource has this name, or the store does not contain the commit of a revision',
    remedy:
      'check name and mesh with a list, such as `zonemesh get KIND`; a receipt needs a revision of the same control plane',
  },
  {
    status: 404,
    title: 'Could not delete a resource',
    cause: 'no resource has this name',
    remedy: 'nothing is left to do if it was deleted before; otherwise check name and mesh',
  },
  {
    status: 404,
    title: 'Failed to retrieve Mesh',
    cause: 'the mesh in the URL or in the document does not exist',
    remedy: 'create the Mesh first, or in the same commit',
  },
  {
    status: 404,
    title: 'Could not retrieve a history',
    cause: 'no resource has this name, neither live nor in the kept history',
    remedy: 'check kind, name and mesh; `detail` proposes the nearest name',
  },
  {
    status: 404,
    title: 'Could not find a revision',
    cause: 'the history has no such revision',
    remedy: 'list revisions with `zonemesh history`',
  },
  {
    status: 404,
    title: 'Not found',
    cause: 'there is nothing to forget: the plane has no rows of this zone',
    remedy: 'check the name of the zone; nothing is left to do if it was forgotten before',
  },
  {
    status: 405,
    title: 'Method not allowed',
    cause: 'the resource belongs to another control plane, or only the global does this',
    remedy: 'send the request to the API that `detail` names',
  },
  {
    status: 406,
    title: 'Bad Request',
    cause: 'the header `Accept` allows neither JSON nor text',
    remedy: 'send `Accept: application/json`, or no such header',
  },
  {
    status: 409,
    title: 'Conflict',
    cause: 'several resources have this plain name, because zones of the mesh chose the same one',
    remedy: 'use one of the full names in `detail`',
  },
  {
    status: 409,
    title: 'Many resources would be removed',
    cause:
      'the commit removes more than 30 % of a kind and more than 10; nothing was written, and `invalid_parameters` lists all of them',
    remedy: 'if this is intended, declare it as `detail` states',
  },
  {
    status: 409,
    title: 'Nothing was done',
    cause: 'the zone holds nothing, holds something else than the request names, or has nothing to keep',
    remedy: 'read the present state with `zonemesh status`, and decide again',
  },
  {
    status: 409,
    title: 'Nothing was removed',
    cause: 'the zone to forget is enabled or connected, or very many rows would be removed',
    remedy: 'delete the Zone and stop its control plane first; declare a large removal as `detail` states',
  },
  {
    status: 410,
    title: 'Gone',
    cause: 'the revision is below the horizon: its versions are no longer kept',
    remedy: 'choose a newer revision; `--history-revisions` sets how many are kept',
  },
  {
    status: 412,
    title: 'Precondition failed',
    cause: 'the resource has changed since the revision in `If-Match`, or since the plane read it; nothing was written',
    remedy: 'read the resource again, repeat the change, and send it with the new `ETag`',
  },
  {
    status: 413,
    title: 'Bad Request',
    cause: 'the body is larger than 4 MiB',
    remedy: 'split the documents over several commits',
  },
  {
    status: 414,
    title: 'Bad Request',
    cause: 'a part of the path is longer than 400 characters',
    remedy: 'no resource has such a name: correct the path',
  },
  {
    status: 415,
    title: 'Bad Request',
    cause: 'the body is not declared as JSON, or it is compressed',
    remedy: 'send `Content-Type: application/json` and no `Content-Encoding`',
  },
  {
    status: 500,
    title: 'Internal Server Error',
    cause: 'a bug of the control plane; its log has the error',
    remedy: 'report it with the line of the log; the request may or may not have been carried out',
  },
  {
    status: 501,
    title: 'Not Implemented',
    cause:
      'a zone or a proxy of an older version does not answer such a question, or the proxy does not run `zonemesh dataplane`',
    remedy: 'upgrade the process that `detail` names',
  },
  {
    status: 502,
    title: 'Bad Gateway',
    cause: 'a zone could not answer a question, or its answer was too large or could not be read',
    remedy: 'ask the API of the zone itself; `detail` has the reason',
  },
  {
    status: 503,
    title: 'Service Unavailable',
    cause:
      'the store does not answer (database away, disk full or failing), too many bodies are being read, or a zone or the global that must be asked is not connected',
    remedy:
      'send the same request again after the seconds in `Retry-After`; `zonemesh status` names a fault of the store and the zones that are not connected',
  },
  {
    status: 504,
    title: 'Gateway Timeout',
    cause: 'a zone did not answer a question within 10 s',
    remedy: 'send the request again; `zonemesh status` shows how far the zone is behind',
  },
] as const satisfies readonly {
  readonly status: number
  readonly title: string
  readonly cause: string
  readonly remedy: string
}[]

export type Problem = (typeof problems)[number]

/** The titles that occur with a status. */
export type TitleOf<Status extends Problem['status']> = Extract<Problem, { readonly status: Status }>['title']
