/**
 * A member's session in a consumer group: it joins, sends heartbeats and joins again when the group rebalances. All of that is a loop of
 * its own, so that a slow cycle of the worker does not end the session; the worker is awaited before the group is joined again.
 *
 *   join ─▶ sync ─▶ assigned ─▶ heartbeats … rebalance ─▶ revoked (awaited) ─▶ join
 */
import { type Assignment, type JoinOptions, LogError } from '../log.ts'
import { Waiter } from '../wait.ts'
import { assign, assignCopartitioned, decodeClaim, encodeClaim } from './assigner.ts'
import type { KafkaClient } from './client.ts'
import { ErrorCode, isRetriable, type KafkaError, toLogError } from './errors.ts'
import { sleep } from './retry.ts'
import { AssignerProtocol } from './hardening.ts'
import type { MemberFile } from './member-file.ts'

export interface GroupSessionSettings {
  readonly client: KafkaClient
  /** The group's id on the cluster. */
  readonly groupId: string
  readonly join: JoinOptions
  readonly memberFile: MemberFile
  /** Partitions by topic. */
  readonly topics: ReadonlyMap<string, number>
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly pollTimeout: number
  /** The partitions are given up: drops what was fetched of them. */
  readonly onRevoked: () => void
  readonly onError: (what: string, error: unknown) => void
}

const PROTOCOL = 'bma-tasks'
const MAX_HEARTBEAT_MS = 3_000
const FIRST_RETRY_MS = 50
const MAX_RETRY_MS = 5_000
/** Failures in a row that a coordinator that moves or loads may take; from then on they are reported. */
const QUIET_FAILURES = 2
/** How often a member that has left for want of polls looks whether the worker polls again. */
const POLL_CHECK_MS = 100
/** Longest that closing waits for the coordinator. */
const CLOSE_MS = 1_000

export class GroupSession {
  readonly #settings: GroupSessionSettings
  readonly #pause = new Waiter()
  #member = ''
  #assignment: Assignment | null = null
  #lease = 0
  #lastPoll = performance.now()
  #left = false
  #closed = false
  #loop: Promise<void> = Promise.resolve()

  constructor(settings: GroupSessionSettings) {
    this.#settings = settings
  }

  /** Its id in the group; empty before it has joined. */
  get member(): string {
    return this.#member
  }

  get assignment(): Assignment | null {
    return this.#assignment
  }

  /** Until when it surely is a member, monotonic ms. */
  get lease(): number {
    return this.#lease
  }

  /** Joins the group, and stays in it until `leave` or `close`. A member that an earlier process left behind leaves first. */
  async start(): Promise<void> {
    const previous = this.#settings.memberFile.read()
    if (previous !== null) await this.#leaveGroup(previous)
    this.#loop = this.#run()
  }

  /** The worker polls: it is alive. */
  polled(): void {
    this.#lastPoll = performance.now()
  }

  /** Resolves once the loop has ended and the group is left. */
  async leave(): Promise<void> {
    this.#left = true
    this.#pause.wake()
    await this.#loop
    if (!this.#closed && this.#member !== '') await this.#leaveGroup(this.#member)
  }

  /** Leaves without waiting for the loop, so that others need not wait for the session to time out. */
  async close(): Promise<void> {
    this.#closed = true
    if (!this.#left && this.#member !== '') await Promise.race([this.#leaveGroup(this.#member), sleep(CLOSE_MS)])
    this.#lease = 0
    this.#pause.wake()
  }

  /** After `close`, and once its client is closed: resolves when the loop has ended, or should have. */
  async ended(): Promise<void> {
    const { join, onError } = this.#settings
    await Promise.race([this.#loop, sleep(CLOSE_MS)]).catch(error => onError(`group "${join.group}"`, error))
  }

  get #over(): boolean {
    return this.#left || this.#closed
  }

  async #run(): Promise<void> {
    const { onError, join, pollTimeout } = this.#settings
    for (let failures = 0; !this.#over; ) {
      try {
        if (performance.now() - this.#lastPoll > pollTimeout && this.#member !== '') await this.#waitForPoll()
        await this.#joinAndSync()
        failures = 0
        await this.#heartbeats()
      } catch (error) {
        if (this.#over) return
        const failed = toLogError(error)
        const { kafka } = failed as Partial<KafkaError>
        // A rebalance is the ordinary end of a generation.
        if (kafka !== ErrorCode.REBALANCE_IN_PROGRESS) {
          // A coordinator that loads or moves is back soon; one that tidies up forgets a group that is only being joined.
          const forgotten = kafka === ErrorCode.UNKNOWN_MEMBER_ID && this.#assignment === null
          if (failures > QUIET_FAILURES || !(isRetriable(failed) || forgotten))
            onError(`group "${join.group}": membership is interrupted`, failed)
          await this.#pause.wait(Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++))
        }
        if (kafka === ErrorCode.UNKNOWN_MEMBER_ID || kafka === ErrorCode.FENCED_INSTANCE_ID) this.#member = ''
      }
    }
  }

  async #joinAndSync(): Promise<void> {
    const { client, groupId, join, topics, memberFile, sessionTimeout, rebalanceTimeout, onRevoked } = this.#settings
    // Nothing that this member started may be open when it gets other tasks.
    this.#lease = 0
    if (this.#assignment !== null) await join.revoked()
    onRevoked()
    if (this.#over) return
    const metadata = AssignerProtocol.MemberMetadata.encode({
      version: 0,
      topics: [...topics.keys()],
      userData: encodeClaim(this.#assignment),
    })
    const coordinator = await client.coordinator('group', groupId)
    const joined = await coordinator.joinGroup({
      groupId,
      sessionTimeout,
      rebalanceTimeout,
      memberId: this.#member,
      groupProtocols: [{ name: PROTOCOL, metadata }],
    })
    this.#member = joined.memberId
    memberFile.write(joined.memberId)
    const leads = joined.leaderId === joined.memberId
    const sentAt = performance.now()
    const { memberAssignment } = await coordinator.syncGroup({
      groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: leads ? assignmentsOf(joined.members, topics, join.copartitioned === true) : [],
    })
    const byTopic = AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment ?? {}
    const partitions = Object.entries(byTopic).flatMap(([topic, of]) => of.map(partition => ({ topic, partition })))
    const assignment = { group: join.group, member: joined.memberId, generation: joined.generationId, partitions }
    this.#assignment = assignment
    this.#extendLease(sentAt)
    join.assigned(assignment)
  }

  /** Until the group rebalances, or the session is lost. */
  async #heartbeats(): Promise<void> {
    const { client, groupId, sessionTimeout, pollTimeout } = this.#settings
    const { generation } = this.#assignment as Assignment
    const interval = Math.min(MAX_HEARTBEAT_MS, sessionTimeout / 4)
    for (let lastGood = performance.now(); ; ) {
      await this.#pause.wait(interval)
      if (this.#over) return
      if (performance.now() - this.#lastPoll > pollTimeout) return
      const sentAt = performance.now()
      try {
        const coordinator = await client.coordinator('group', groupId)
        await coordinator.heartbeat({ groupId, groupGenerationId: generation, memberId: this.#member })
        lastGood = sentAt
        this.#extendLease(sentAt)
      } catch (error) {
        const failed = toLogError(error)
        client.forgetCoordinator('group', groupId)
        if (!isRetriable(failed) || (failed as Partial<KafkaError>).kafka === ErrorCode.REBALANCE_IN_PROGRESS) throw failed
        if (performance.now() - lastGood > sessionTimeout) throw failed
      }
    }
  }

  /** The worker does not poll: others can have its tasks until it does. */
  async #waitForPoll(): Promise<void> {
    const { join, pollTimeout, onError } = this.#settings
    const since = this.#lastPoll
    const seconds = Math.round((performance.now() - since) / 1000)
    onError(
      `group "${join.group}": left`,
      new LogError('unavailable', `the worker has not polled for ${seconds} s (the limit is ${pollTimeout} ms)`),
    )
    this.#lease = 0
    await this.#leaveGroup(this.#member)
    this.#member = ''
    while (this.#lastPoll === since && !this.#over) await this.#pause.wait(POLL_CHECK_MS)
  }

  /** @param sentAt when the request was sent that the coordinator has answered: it counts from some time after that */
  #extendLease(sentAt: number): void {
    const { sessionTimeout, rebalanceTimeout } = this.#settings
    this.#lease = sentAt + Math.min(sessionTimeout, rebalanceTimeout)
  }

  async #leaveGroup(memberId: string): Promise<void> {
    const { client, groupId } = this.#settings
    try {
      const coordinator = await client.coordinator('group', groupId)
      await coordinator.leaveGroup({ groupId, memberId })
    } catch {
      // It has left already, or its session times out.
    }
  }
}

/** What the group's leader assigns to each member. */
function assignmentsOf(
  members: readonly { memberId: string; memberMetadata: Buffer }[],
  topics: ReadonlyMap<string, number>,
  copartitioned: boolean,
): { memberId: string; memberAssignment: Buffer }[] {
  const claiming = members.map(({ memberId, memberMetadata }) => ({
    id: memberId,
    claim: decodeClaim(AssignerProtocol.MemberMetadata.decode(memberMetadata)?.userData ?? null),
  }))
  const assigned = copartitioned ? assignCopartitioned(claiming, topics) : assign(claiming, topics)
  return [...assigned].map(([memberId, partitions]) => {
    const byTopic = Map.groupBy(partitions, p => p.topic)
    const assignment = Object.fromEntries([...byTopic].map(([topic, of]) => [topic, of.map(p => p.partition)]))
    return {
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment, userData: Buffer.alloc(0) }),
    }
  })
}
