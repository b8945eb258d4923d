import { count, option, port, toggle } from '@zonemesh/plane/config/options.ts'
import { planeOptions } from '@zonemesh/plane/config/plane-options.ts'

const mib = 1024 * 1024

/** Settings of `zonemesh global`. */
export const globalOptions = {
  ...planeOptions,
  syncPort: option(port.default(5685), 'port that zones connect to (gRPC over TLS)', {
    placeholder: 'PORT',
    shownDefault: '5685',
  }),
  zoneRowsMax: option(count(1).default(50_000), 'how many rows one zone may store here; further ones are refused', {
    placeholder: 'N',
    shownDefault: '50000',
  }),
  zoneBytesMax: option(
    count(1).default(64 * mib),
    'how many bytes the rows of one zone may have; further ones are refused',
    { placeholder: 'BYTES', shownDefault: '67108864 (64 MiB)' },
  ),
  zoneReportBytesMax: option(
    count(1).default(16 * mib),
    'how many bytes the reports of one zone on its proxies may have; further ones are left out',
    { placeholder: 'BYTES', shownDefault: '16777216 (16 MiB)' },
  ),
  zoneBytesPerSecondMax: option(
    count(1).default(mib),
    'how many bytes of rows one zone may send per second, after a burst of 16 times as many',
    { placeholder: 'BYTES', shownDefault: '1048576 (1 MiB)' },
  ),
  acceptNewStore: option(
    toggle.default(false),
    'go on with another store than the data folder names, for one start: an empty one is not what the zones have',
  ),
}
