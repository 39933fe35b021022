// The exponential of the lane model, which has no other need of Foundation.

import Foundation

func exponential(_ value: Double) -> Double { exp(value) }
