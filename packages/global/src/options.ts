import { option, port, toggle } from '@zonemesh/plane/config/options.ts'
import { planeOptions } from '@zonemesh/plane/config/plane-options.ts'

/** Settings of `zonemesh global`. */
export const globalOptions = {
  ...planeOptions,
  syncPort: option(port.default(5685), 'port that zones connect to (gRPC over TLS)', {
    placeholder: 'PORT',
    shownDefault: '5685',
  }),
  acceptNewStore: option(
    toggle.default(false),
    'go on with another store than the data folder names, for one start: an empty one is not what the zones have',
  ),
}
