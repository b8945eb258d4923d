import { describeTransport } from './contract.ts'
import { grpcTransport, webSocketTransport } from './doors.ts'

describeTransport(grpcTransport)
describeTransport(webSocketTransport)
