// The unmodified npm package ali-ons behind the line protocol of the Java probe (see ../java/Probe.java).
import { createInterface } from 'node:readline'
import ons from 'ali-ons'

const { Consumer, Message, Producer } = ons
const nameSrv = process.argv[2]
const quiet = { info() {}, warn() {}, error() {}, debug() {} }
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const consumers = new Map()
let producer

const operations = {
  async send(a) {
    if (!producer) {
      producer = new Producer({ producerGroup: 'probe-js', nameSrv, httpclient: {}, logger: quiet })
      producer.on('error', () => {})
      await producer.ready()
    }
    for (let i = 0; i < Number(a.count ?? 1); i++) {
      const message = new Message(a.topic, a.tag ?? '', `${a.prefix ?? 'm'}-${i}`.padEnd(Number(a.size ?? 0), '.'))
      if (a.key) message.keys = [a.key]
      if (a.delayLevel) message.delayTimeLevel = Number(a.delayLevel)
      if (a.deliverInMs) message.setStartDeliverTime(Date.now() + Number(a.deliverInMs))
      if (a.mode === 'ordered') message.properties.__SHARDING_KEY = String(i % Number(a.keys ?? 3))
      const result = await producer.send(message, a.mode === 'ordered' ? String(i % Number(a.keys ?? 3)) : undefined)
      if (result.sendStatus !== 'SEND_OK') throw new Error(`status ${result.sendStatus}`)
    }
  },
  async subscribe(a) {
    const consumer = new Consumer({
      consumerGroup: a.group,
      nameSrv,
      httpclient: {},
      logger: quiet,
      consumeFromWhere: a.from === 'last' ? 'CONSUME_FROM_LAST_OFFSET' : 'CONSUME_FROM_FIRST_OFFSET',
      isBroadcast: a.mode === 'broadcast',
      ...(a.maxReconsume ? { maxReconsumeTimes: Number(a.maxReconsume) } : {}),
    })
    consumer.on('error', () => {})
    const seen = new Map()
    const fail = Number(a.fail ?? 0)
    consumer.subscribe(a.topic, a.expr ?? '*', async (m) => {
      const body = m.body.toString()
      seen.set(body, (seen.get(body) ?? 0) + 1)
      const ok = fail >= 0 && seen.get(body) > fail
      print({
        event: 'message',
        consumer: a.consumer,
        body,
        topic: m.topic,
        tag: m.tags,
        keys: m.keys,
        queueId: m.queueId,
        queueOffset: Number(m.queueOffset),
        reconsumeTimes: m.reconsumeTimes,
        ok,
      })
      if (!ok) throw new Error('as told')
    })
    consumers.set(a.consumer, consumer)
    await consumer.ready()
  },
  async unsubscribe(a) {
    const consumer = consumers.get(a.consumer)
    consumers.delete(a.consumer)
    await consumer.close()
  },
}

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const [id, operation, ...pairs] = line.split('\t')
    const a = Object.fromEntries(pairs.map((p) => [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)]))
    try {
      await operations[operation](a)
      print({ id: Number(id), ok: true })
    } catch (error) {
      print({ id: Number(id), ok: false, error: String(error?.stack ?? error) })
    }
  })
  .on('close', () => process.exit(0))
process.on('unhandledRejection', (error) => process.stderr.write(`${error?.stack}\n`))
print({ event: 'ready' })
