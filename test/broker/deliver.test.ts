import { deliverConformance } from '../conformance/deliver.ts'
import { openClient } from '../support/deliverer.ts'

deliverConformance("An attempt by the broker's own thread", openClient)
