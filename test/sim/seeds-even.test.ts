import { describe } from 'vitest'
import { seedsSuite } from './seeds.ts'

describe('simulated meshes, even seeds', () => seedsSuite(2))
