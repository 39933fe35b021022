import Testing
import WeirBasics

@Suite struct HistogramTests {
  @Test func `a value lands in the first bucket whose bound is not below it`() {
    var histogram = Histogram(bounds: [1, 2, 5])
    for value in [0.5, 1, 1.5, 2, 5, 5.1, 100] { histogram.observe(value) }
    #expect(histogram.snapshot.counts == [2, 2, 1, 2])
    #expect(histogram.snapshot.count == 7)
    #expect(abs(histogram.snapshot.sum - 115.1) < 1e-9)
  }

  @Test func `values that are not finite are not counted`() {
    var histogram = Histogram(bounds: [1])
    histogram.observe(.nan)
    histogram.observe(.infinity)
    #expect(histogram.snapshot.count == 0)
    #expect(histogram.snapshot.quantile(0.5) == nil)
    #expect(histogram.snapshot.mean == 0)
  }

  @Test func `quantiles are interpolated inside a bucket and capped at the last bound`() {
    var histogram = Histogram(bounds: [10, 20])
    histogram.observe(15, count: 10)
    #expect(histogram.snapshot.quantile(0.5) == 15)
    #expect(histogram.snapshot.quantile(1) == 20)
    histogram.observe(1000, count: 90)
    #expect(histogram.snapshot.quantile(0.99) == 20)
  }

  @Test func `the seconds buckets reach what a CPU needs`() {
    #expect((Histogram.requestSeconds.last ?? 0) >= 600)
    #expect((Histogram.tokenSeconds.last ?? 0) >= 10)
  }
}
