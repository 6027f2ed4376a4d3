/** What happened in a run, as those outside of the servers saw it. Checkers judge by it alone, and by what the stores hold at the end. */

/** Where a broker said that it had put a message. */
export interface Acknowledgement {
  readonly atMs: number
  readonly brokerName: string
  readonly queueId: number
  readonly queueOffset: number
  /** In the log. */
  readonly position: number
}

export interface Sent {
  readonly id: string
  readonly topic: string
  readonly atMs: number
  readonly orderKey: string | undefined
  readonly tags: string
  /** The topic where its place in the log is at first, when it is another one. */
  readonly waitsIn: string | undefined
  /** Wall time before which nobody may have it. */
  readonly dueMs: number | undefined
  /** Counted from when the broker got it, by the broker's clock. */
  readonly isDelay: boolean
  /** How the transaction ends that it belongs to. */
  readonly outcome: 'commit' | 'rollback' | undefined
  /** The topic is deleted and made again during the run. */
  readonly isShortLived: boolean
  ack: Acknowledgement | undefined
  error: string | undefined
}

/** A handler has said yes to a message. */
export interface Consumption {
  readonly atMs: number
  readonly id: string
  readonly group: string
  readonly member: string
  readonly topic: string
  readonly brokerName: string
  /** The topic of the queue: another one than `topic` for a retry. */
  readonly queueTopic: string
  readonly queueId: number
  readonly queueOffset: number
}

/** What a handler was given, and what is wrong with it. */
export interface Alteration {
  readonly atMs: number
  readonly id: string
  readonly member: string
  readonly what: string
}

/** Somebody asked to take a scheduled message back. */
export interface Recall {
  readonly atMs: number
  readonly id: string
  readonly brokerName: string
  /** By which the recall's record names the message. */
  readonly uniqKey: string
  /** The broker has said that it will not come. */
  isSure: boolean
}

/** A message taken for a time. */
export interface Pop {
  readonly id: string
  readonly member: string
  readonly brokerName: string
  /** Topic, queue and offset of the copy: another one each time that it comes again. */
  readonly place: string
  readonly askedMs: number
  readonly gotMs: number
  /** Nobody else may have it before, as far as its holder knows. */
  holdsUntilMs: number
  /** The broker has said that it is done with it. */
  ackedMs: number | undefined
}

export type FaultKind =
  | 'power-loss'
  | 'kill'
  | 'start'
  | 'partition'
  | 'heal'
  | 'stall'
  | 'cut'
  | 'slow-disk'
  | 'fast-disk'
  | 'full-disk'
  | 'roomy-disk'
  | 'sync-error'
  | 'clock-jump'
  | 'bit-flip'
  | 'client-killed'
  | 'client-started'

export interface Fault {
  readonly atMs: number
  readonly kind: FaultKind
  readonly node: string
  readonly detail: string
}

/** A committed offset as the broker saved it. */
export interface SavedOffset {
  readonly atMs: number
  readonly brokerName: string
  /** Counts the starts of the broker. */
  readonly life: number
  readonly group: string
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  /** It was read back at a start, not written. */
  readonly isLoaded: boolean
}

/** Two handlers of a group at work on one queue at the same time. */
export interface Overlap {
  readonly atMs: number
  readonly group: string
  readonly brokerName: string
  readonly topic: string
  readonly queueId: number
  readonly members: readonly [string, string]
  readonly ids: readonly [string, string]
}

/** The end of a call that deletes a topic. One that failed may still be carried out, later. */
export interface Deletion {
  readonly atMs: number
  readonly beganMs: number
  readonly topic: string
  readonly isDone: boolean
  /** Those that the NameServers knew then: nobody asked the others. */
  readonly brokerNames: readonly string[]
}

/** The first time that a handler of a group was done with a place of a queue, whether it said yes or no. */
export interface Handled {
  readonly atMs: number
  readonly id: string
}

/** A record that a disk lost or spoilt, as it was before. */
export interface LostRecord {
  readonly atMs: number
  readonly cause: 'power-loss' | 'bit-flip'
  readonly brokerName: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly position: number
  readonly id: string | undefined
  /** The group that was to try the message again. */
  readonly retryOf: string | undefined
  /** The unique key of the message that it takes back. */
  readonly recalls: string | undefined
  /** The broker had been told by its disk that it was safe. */
  readonly wasSynced: boolean
}

export interface Line {
  readonly atMs: number
  readonly text: string
  /** Message ids and nodes that the line is about. */
  readonly about: readonly string[]
}

export interface Place {
  readonly group: string
  readonly brokerName: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
}

export const handledKey = ({ group, brokerName, topic, queueId, queueOffset }: Place): string =>
  `${group} ${brokerName} ${topic} ${queueId} ${queueOffset}`

type Queue = Omit<Place, 'group' | 'queueOffset'>

const queueKey = ({ brokerName, topic, queueId }: Queue): string => `${brokerName} ${topic} ${queueId}`

function pushTo<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

export class History {
  readonly sent = new Map<string, Sent>()
  readonly consumed: Consumption[] = []
  readonly alterations: Alteration[] = []
  readonly faults: Fault[] = []
  /** By group, queue and offset: `handledKey`. */
  readonly handled = new Map<string, Handled[]>()
  readonly savedOffsets: SavedOffset[] = []
  readonly lines: Line[] = []
  readonly deletions: Deletion[] = []
  /** When brokers were ready to answer, after each start. */
  readonly servings: { readonly atMs: number; readonly node: string }[] = []
  readonly overlaps: Overlap[] = []
  readonly lost: LostRecord[] = []
  readonly recalls = new Map<string, Recall>()
  readonly pops: Pop[] = []
  /** Popped messages whose acknowledgement may have been carried out, though nobody said so. */
  readonly doneUnsaid = new Set<string>()
  readonly #lostById = new Map<string, LostRecord[]>()
  readonly #lostPlaces = new Map<string, LostRecord[]>()
  readonly #working = new Map<string, { readonly member: string; readonly id: string }[]>()
  readonly #handlers = new Map<string, Set<string>>()
  readonly #tries = new Map<string, number[]>()
  readonly #nowMs: () => number
  #fingerprint = 0x811c9dc5

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get nowMs(): number {
    return this.#nowMs()
  }

  /** FNV-1a of all lines: the second half of a run's identity, beside that of the world's events. */
  get fingerprint(): number {
    return this.#fingerprint >>> 0
  }

  note(text: string, about: readonly string[]): void {
    const line = { atMs: this.nowMs, text, about }
    this.lines.push(line)
    const whole = `${line.atMs.toFixed(6)} ${text}`
    for (let i = 0; i < whole.length; i++) this.#fingerprint = Math.imul(this.#fingerprint ^ whole.charCodeAt(i), 0x01000193)
  }

  sending(message: Omit<Sent, 'atMs' | 'ack' | 'error'>): void {
    this.sent.set(message.id, { ...message, atMs: this.nowMs, ack: undefined, error: undefined })
    this.note(`${message.id} is sent to ${message.topic}`, [message.id])
  }

  acknowledged(id: string, place: Omit<Acknowledgement, 'atMs'>): void {
    const sent = this.sent.get(id) as Sent
    sent.ack = { ...place, atMs: this.nowMs }
    this.note(`${id} is acknowledged: ${place.brokerName}, queue ${place.queueId}, offset ${place.queueOffset}`, [id, place.brokerName])
  }

  failed(id: string, error: string): void {
    const sent = this.sent.get(id) as Sent
    sent.error = error
    this.note(`${id} is not acknowledged: ${error}`, [id])
  }

  consume(consumption: Omit<Consumption, 'atMs'>): void {
    this.consumed.push({ ...consumption, atMs: this.nowMs })
    const { id, group, member, queueTopic, queueId, queueOffset, brokerName } = consumption
    this.note(`${id} is consumed by ${member} of ${group}: ${brokerName}, ${queueTopic}, queue ${queueId}, offset ${queueOffset}`, [
      id,
      brokerName,
    ])
  }

  handle(place: Place, id: string, member: string): void {
    const queue = `${place.group} ${queueKey(place)}`
    const members = this.#handlers.get(queue)
    if (members === undefined) this.#handlers.set(queue, new Set([member]))
    else members.add(member)
    const tries = this.#tries.get(`${place.group} ${id}`)
    if (tries === undefined) this.#tries.set(`${place.group} ${id}`, [this.nowMs])
    else tries.push(this.nowMs)
    const key = handledKey(place)
    const known = this.handled.get(key)
    if (known === undefined) this.handled.set(key, [{ atMs: this.nowMs, id }])
    else if (!known.some((each) => each.id === id)) known.push({ atMs: this.nowMs, id })
  }

  /** A handler begins; call what this returns when it ends. */
  working({ group, brokerName, topic, queueId }: Omit<Place, 'queueOffset'>, member: string, id: string): () => void {
    const key = `${group} ${brokerName} ${topic} ${queueId}`
    const others = this.#working.get(key) ?? []
    for (const other of others) {
      this.overlaps.push({ atMs: this.nowMs, group, brokerName, topic, queueId, members: [other.member, member], ids: [other.id, id] })
    }
    const mine = { member, id }
    this.#working.set(key, [...others, mine])
    return () => {
      const left = (this.#working.get(key) ?? []).filter((each) => each !== mine)
      this.#working.set(key, left)
    }
  }

  /** The process of a member is gone, and its handlers with it. */
  memberDied(member: string): void {
    for (const [key, all] of this.#working) {
      const left = all.filter((each) => each.member !== member)
      this.#working.set(key, left)
    }
  }

  /** How many members of a group have ever worked on a queue. */
  membersAt(queue: Omit<Place, 'queueOffset'>): number {
    return this.#handlers.get(`${queue.group} ${queueKey(queue)}`)?.size ?? 0
  }

  /** When handlers of a group have had a message. */
  handledMs(group: string, id: string): readonly number[] {
    return this.#tries.get(`${group} ${id}`) ?? []
  }

  altered(alteration: Omit<Alteration, 'atMs'>): void {
    this.alterations.push({ ...alteration, atMs: this.nowMs })
    this.note(`${alteration.member} got ${alteration.id} altered: ${alteration.what}`, [alteration.id])
  }

  fault(kind: FaultKind, node: string, detail = ''): void {
    this.faults.push({ atMs: this.nowMs, kind, node, detail })
    this.note(`${kind} at ${node}${detail === '' ? '' : `: ${detail}`}`, [node])
  }

  serves(node: string, report: string): void {
    this.servings.push({ atMs: this.nowMs, node })
    this.note(`${node} serves: ${report}`, [node])
  }

  recalling(id: string, brokerName: string, uniqKey: string): Recall {
    const recall = { atMs: this.nowMs, id, brokerName, uniqKey, isSure: false }
    this.recalls.set(id, recall)
    return recall
  }

  recalled(recall: Recall): void {
    recall.isSure = true
    this.note(`${recall.id} is taken back at ${recall.brokerName}`, [recall.id])
  }

  popped(pop: Omit<Pop, 'gotMs' | 'ackedMs'>): Pop {
    const popped: Pop = { ...pop, gotMs: this.nowMs, ackedMs: undefined }
    this.pops.push(popped)
    this.note(`${pop.id} is popped by ${pop.member} from ${pop.brokerName}, for ${pop.holdsUntilMs - pop.askedMs} ms`, [pop.id])
    return popped
  }

  popAcknowledged(pop: Pop): void {
    pop.ackedMs = this.nowMs
    this.note(`${pop.id} is acknowledged by ${pop.member} at ${pop.brokerName}`, [pop.id])
  }

  loses(record: Omit<LostRecord, 'atMs'>): void {
    const lost = { ...record, atMs: this.nowMs }
    const { id, cause, brokerName, topic, queueId, queueOffset, position } = lost
    this.lost.push(lost)
    if (id !== undefined) pushTo(this.#lostById, id, lost)
    pushTo(this.#lostPlaces, queueKey(lost), lost)
    this.note(
      `${cause} takes ${id ?? 'a record'}: ${brokerName}, ${topic}, queue ${queueId}, offset ${queueOffset}, log position ${position}`,
      [id ?? brokerName],
    )
  }

  /** Records of a message that disks have lost. */
  lostOf(id: string): readonly LostRecord[] {
    return this.#lostById.get(id) ?? []
  }

  /** Records of a queue that its disk has lost. */
  lostIn(queue: Queue): readonly LostRecord[] {
    return this.#lostPlaces.get(queueKey(queue)) ?? []
  }

  savedOffset(saved: Omit<SavedOffset, 'atMs'>): void {
    this.savedOffsets.push({ ...saved, atMs: this.nowMs })
  }

  /** `error`: what an operator was told instead of yes. */
  deleted(topic: string, beganMs: number, brokerNames: readonly string[], error?: string): void {
    this.deletions.push({ atMs: this.nowMs, beganMs, topic, brokerNames, isDone: error === undefined })
    this.note(`topic ${topic} is deleted: ${error ?? `done at ${brokerNames.join(', ')}`}`, [topic])
  }
}
