import { contractsInContainer } from './contracts.ts'

contractsInContainer(18)
