// A small deterministic model of nodes that prefill and decode in steps, for tests of the policies only: the code under
// test (view, routing, roles) is the product's, the nodes are arithmetic.

import Testing
import WeirBasics
import WeirCluster

/// One request on its way.
final class ModelJob {
  let index: Int
  let arrival: Double
  let prompt: Int
  let output: Int
  var route: Route?
  var prefilled = 0
  var generated = 0
  var firstToken = 0.0
  var finished = 0.0

  init(index: Int, arrival: Double, prompt: Int, output: Int) {
    self.index = index
    self.arrival = arrival
    self.prompt = prompt
    self.output = output
  }
}

/// True speeds of a node; the policies only see what is measured.
struct ModelSpeeds {
  /// Prompt tokens per second of compute.
  var prefill = 1000.0
  /// Seconds of any step, and of each decode row in it.
  var stepSeconds = 0.02
  var rowSeconds = 0.001
}

/// One node: prefill first come first served in chunks, decode rows in every step.
final class ModelNode {
  let description: NodeDescription
  let speeds: ModelSpeeds
  var role: RoleState
  /// Wait for their prefill; the first may be under way.
  var queue: [ModelJob] = []
  /// Prefilled, wait until their decode node has room.
  var sending: [ModelJob] = []
  /// Will come, or have come, from another node and wait for a place; blocks not yet taken.
  var expected: [ModelJob] = []
  var running: [ModelJob] = []
  var usedBlocks = 0
  var isBusy = false
  var sequence = 0
  /// Handed over and on their way; they have their place in the batch.
  var incoming = 0
  var meter = StepMeter()
  var prefillSeconds = 0.0
  var decodeSeconds = 0.0
  var prefilledTokens = 0
  var decodedTokens = 0

  init(_ description: NodeDescription, _ speeds: ModelSpeeds) {
    self.description = description
    self.speeds = speeds
    role = RoleState(home: description.homeRole)
  }

  func blocks(_ tokens: Int) -> Int { description.kv.blockCount(tokens: tokens) }

  /// Blocks that a job takes here: the whole request where it decodes, the prompt where it only prefills.
  func blocks(of job: ModelJob) -> Int {
    blocks(job.route?.decode == description.id ? job.prompt + job.output : job.prompt + 1)
  }

  func report(now: Instant, tickSeconds: Double) -> LoadReport {
    sequence += 1
    var report = LoadReport(node: description.id, incarnation: 1, sequence: sequence, role: role.role)
    let started = queue.filter { $0.prefilled > 0 }
    report.queues.runningSequences = running.count
    report.queues.waitingRequests = queue.count
    report.queues.waitingPromptTokens = queue.reduce(0) { $0 + $1.prompt - $1.prefilled }
    report.queues.totalBlocks = description.capacity.totalBlocks
    report.queues.freeBlocks = description.capacity.totalBlocks - usedBlocks
    report.waitingDecodes = expected.count
    report.sendingRequests = sending.count
    report.promisedBlocks =
      expected.reduce(0) { $0 + blocks(of: $1) }
      + queue.filter { job in !started.contains { $0 === job } }.reduce(0) { $0 + blocks(of: $1) }
    report.computeUtilisation = min(1, prefillSeconds / tickSeconds)
    report.memoryBandwidthUtilisation = min(1, decodeSeconds / tickSeconds)
    report.speeds = meter.speeds(now: now)
    prefillSeconds = 0
    decodeSeconds = 0
    return report
  }
}

/// What a run came to.
struct ModelResult {
  var seconds = 0.0
  var finished = 0
  var meanSeconds = 0.0
  var meanFirstTokenSeconds = 0.0
  /// Times a node left its home role.
  var flips = 0
  var flipsWithWorkInFlight = 0
  var flipReasons: [String] = []
  var shares: [NodeID: (prefilled: Int, decoded: Int)] = [:]
  var throughput: Double { Double(finished) / seconds }
}

final class ClusterModel {
  private enum Event {
    case arrival(ModelJob)
    case stepEnd(ModelNode, chunk: [(ModelJob, Int)], seconds: Double)
    case transferEnd(ModelJob, from: ModelNode, to: ModelNode)
    case tick
  }

  let nodes: [ModelNode]
  private let routing: any Routing
  private var roles: any RolePlan
  private var view = ClusterView()
  private var generator: SeededGenerator
  private var time = 0.0
  /// Ascending by (time, order): the model has few pending events.
  private var events: [(time: Double, order: Int, event: Event)] = []
  private var order = 0
  private var turn: UInt64 = 0
  private var held: [ModelJob] = []
  private var done: [ModelJob] = []
  private var result = ModelResult()
  let bytesPerSecond = 1e9
  let operationSeconds = 1e-4

  init(_ nodes: [(NodeDescription, ModelSpeeds)], routing: any Routing, roles: any RolePlan, seed: UInt64) {
    self.nodes = nodes.map { ModelNode($0.0, $0.1) }
    self.routing = routing
    self.roles = roles
    generator = SeededGenerator(seed: seed, stream: 1)
    view.apply(.snapshot(nodes.map { Member(description: $0.0) }), now: now)
  }

  private var now: Instant { Instant(nanoseconds: 1).advanced(bySeconds: time) }

  private func post(_ event: Event, in seconds: Double) {
    let entry = (time: time + seconds, order: order, event: event)
    order += 1
    let index = events.firstIndex { ($0.time, $0.order) > (entry.time, entry.order) } ?? events.endIndex
    events.insert(entry, at: index)
  }

  /// Runs all jobs to their end, or until `limitSeconds` of model time.
  func run(_ jobs: [ModelJob], limitSeconds: Double = 50_000) -> ModelResult {
    var waiting = jobs[...]
    post(.tick, in: 0)
    func next() { if let job = waiting.popFirst() { post(.arrival(job), in: max(0, job.arrival - time)) } }
    next()
    while done.count < jobs.count, time < limitSeconds, !events.isEmpty {
      let entry = events.removeFirst()
      time = entry.time
      switch entry.event {
      case .arrival(let job):
        next()
        if !held.isEmpty || !place(job) { held.append(job) }
      case .stepEnd(let node, let chunk, let seconds): endStep(node, chunk, seconds)
      case .transferEnd(let job, let source, let target):
        source.usedBlocks -= source.blocks(of: job)
        target.incoming -= 1
        target.running.append(job)
        work()
      case .tick: tick()
      }
    }
    result.seconds = done.map(\.finished).max() ?? time
    result.finished = done.count
    result.meanSeconds = done.reduce(0) { $0 + $1.finished - $1.arrival } / Double(max(1, done.count))
    result.meanFirstTokenSeconds = done.reduce(0) { $0 + $1.firstToken - $1.arrival } / Double(max(1, done.count))
    for node in nodes { result.shares[node.description.id] = (node.prefilledTokens, node.decodedTokens) }
    #expect(Set(done.map(\.index)).count == done.count, "a request was answered twice")
    #expect(done.allSatisfy { $0.generated == $0.output && $0.prefilled == $0.prompt })
    if done.count == jobs.count { #expect(nodes.allSatisfy { $0.usedBlocks == 0 }, "blocks were lost") }
    return result
  }

  // MARK: - Control plane: the product's code

  private func tick() {
    for node in nodes {
      _ = node.role.endCycle()
      view.apply(.reported(node.report(now: now, tickSeconds: roles.tickSeconds)), now: now)
    }
    let decision = roles.tick(RoleFacts(nodes: view.facts(now: now), now: now, heldRequests: held.count))
    for directive in decision.directives {
      guard let node = nodes.first(where: { $0.description.id == directive.node }) else { continue }
      let before = node.role.role
      _ = node.role.receive(directive)
      if node.role.role != before, node.role.role != node.role.home {
        result.flips += 1
        result.flipReasons.append("\((time * 100).rounded() / 100) s: \(directive.reason)")
        if !node.running.isEmpty || !node.queue.isEmpty || !node.sending.isEmpty { result.flipsWithWorkInFlight += 1 }
      }
    }
    while let job = held.first, place(job) { held.removeFirst() }
    post(.tick, in: roles.tickSeconds)
  }

  private func place(_ job: ModelJob) -> Bool {
    let request = RouteRequest(
      request: RequestID("\(job.index)"), model: Samples.model, promptTokens: job.prompt,
      expectedOutputTokens: job.output)
    let facts = RouteFacts(nodes: view.facts(now: now), now: now, turn: turn)
    do {
      let route = try routing.route(request, facts, generator: &generator)
      turn += 1
      job.route = route
      view.placed(route, request, now: now)
      nodes.first { $0.description.id == route.prefill }?.queue.append(job)
      if !route.isColocated { nodes.first { $0.description.id == route.decode }?.expected.append(job) }
      work()
      return true
    } catch {
      #expect(error.isRetryable, "request \(job.index): \(error)")
      return false
    }
  }

  // MARK: - Nodes

  private func work() {
    for node in nodes {
      send(from: node)
      if !node.isBusy { step(node) }
    }
  }

  /// Hands over what its decode node can take: reserve, then put.
  private func send(from node: ModelNode) {
    node.sending.removeAll { job in
      guard let target = nodes.first(where: { $0.description.id == job.route?.decode }) else { return false }
      let blocks = target.blocks(of: job)
      guard target.usedBlocks + blocks <= target.description.capacity.totalBlocks,
        target.running.count + target.incoming < target.description.capacity.runningLimit
      else { return false }
      target.usedBlocks += blocks
      target.incoming += 1
      target.expected.removeAll { $0 === job }
      let bytes = Double(node.blocks(job.prompt) * node.description.kv.blockBytes)
      post(.transferEnd(job, from: node, to: target), in: bytes / bytesPerSecond + operationSeconds)
      return true
    }
  }

  private func step(_ node: ModelNode) {
    let capacity = node.description.capacity
    var budget = node.running.isEmpty ? capacity.stepTokens : capacity.mixedPrefillTokens
    var chunk: [(ModelJob, Int)] = []
    for job in node.queue where budget > 0 {
      if job.prefilled == 0 {
        let blocks = node.blocks(of: job)
        let hasPlace =
          job.route?.isColocated != true || node.running.count + node.incoming + chunk.count < capacity.runningLimit
        guard node.usedBlocks + blocks <= capacity.totalBlocks, hasPlace else { break }
        node.usedBlocks += blocks
      }
      let tokens = min(budget, job.prompt - job.prefilled)
      chunk.append((job, tokens))
      budget -= tokens
    }
    guard !chunk.isEmpty || !node.running.isEmpty else { return }
    let tokens = chunk.reduce(0) { $0 + $1.1 }
    let rows = node.running.count
    let seconds =
      node.speeds.stepSeconds + Double(tokens) / node.speeds.prefill + Double(rows) * node.speeds.rowSeconds
    node.isBusy = true
    post(.stepEnd(node, chunk: chunk, seconds: seconds), in: seconds)
  }

  private func endStep(_ node: ModelNode, _ chunk: [(ModelJob, Int)], _ seconds: Double) {
    node.isBusy = false
    let tokens = chunk.reduce(0) { $0 + $1.1 }
    let rows = node.running.count
    node.prefilledTokens += tokens
    node.decodedTokens += rows
    node.meter.add(prefillTokens: tokens, decodeRows: rows, seconds: seconds, now: now)
    if tokens == 0 { node.decodeSeconds += seconds } else { node.prefillSeconds += seconds }
    for job in node.running { advance(job, on: node) }
    node.running.removeAll { $0.generated == $0.output }
    for (job, tokens) in chunk {
      job.prefilled += tokens
      guard job.prefilled == job.prompt else { continue }
      node.queue.removeAll { $0 === job }
      job.firstToken = time
      advance(job, on: node)
      if job.generated == job.output, job.route?.isColocated == false {
        // One token only: nothing is left to decode elsewhere.
        node.usedBlocks -= node.blocks(of: job)
        for other in nodes { other.expected.removeAll { $0 === job } }
      } else if job.generated < job.output {
        if job.route?.isColocated == true { node.running.append(job) } else { node.sending.append(job) }
      }
    }
    work()
  }

  private func advance(_ job: ModelJob, on node: ModelNode) {
    job.generated += 1
    guard job.generated == job.output else { return }
    job.finished = time
    done.append(job)
    if job.route?.decode == node.description.id { node.usedBlocks -= node.blocks(of: job) }
  }
}
