import { describe } from 'vitest'
import { seedsSuite } from './seeds.ts'

describe('simulated meshes, odd seeds', () => seedsSuite(1))
