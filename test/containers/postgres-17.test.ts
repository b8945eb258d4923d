import { contractsInContainer } from './contracts.ts'

contractsInContainer(17)
