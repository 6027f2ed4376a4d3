import { describe, expect, it } from 'vitest'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { localOffsetStore, queueOffsets } from '../../src/consumer/offset-store.ts'
import { parseFastjson } from '@skylarkmq/remoting/protocol'

const queue = (queueId: number) => ({ topic: 't', brokerName: 'b', queueId })

describe('the file of a broadcasting consumer', () => {
  it('keeps offsets over a restart, in the shape that Java reads', async () => {
    const { disk, log } = simRuntime(1)
    const store = localOffsetStore(disk, '/home/offsets.json', log)
    expect(await store.read(queue(0))).toBeUndefined()
    await store.persist([[queue(0), 5], [queue(1), 7]]) // biome-ignore format: pairs
    await store.persist([[queue(0), 6]])
    expect(disk.readText('/home/offsets.json')).toBe(
      '{"offsetTable":{{"topic":"t","brokerName":"b","queueId":0}:6,{"topic":"t","brokerName":"b","queueId":1}:7}}',
    )
    const again = localOffsetStore(disk, '/home/offsets.json', log)
    expect([await again.read(queue(0)), await again.read(queue(1)), await again.read(queue(2))]).toEqual([6, 7, undefined])
  })

  it('reads a file of Apache 5.5.0, and its backup when the file is broken', async () => {
    const { disk, log } = simRuntime(1)
    const apache = '{\n\t"offsetTable":{{\n\t\t\t"brokerName":"b",\n\t\t\t"queueId":3,\n\t\t\t"topic":"t"\n\t\t}:42\n\t}\n}'
    disk.makeDirectory('/home')
    disk.writeTextAtomically('/home/offsets.json', '{"offsetTable":{{"broke')
    disk.writeTextAtomically('/home/offsets.json.bak', apache)
    expect(await localOffsetStore(disk, '/home/offsets.json', log).read(queue(3))).toBe(42)
  })
})

describe('tables keyed by queue', () => {
  const forms = {
    'object keys (Java)': '{{"brokerName":"b","queueId":3,"topic":"t"}:42}',
    'keys as text (Go)': '{"{\\"topic\\":\\"t\\",\\"brokerName\\":\\"b\\",\\"queueId\\":3}":42}',
    'pairs (Go)': '[{"key":{"topic":"t","brokerName":"b","queueId":3},"value":42}]',
    'a list (C++)': '[{"topic":"t","brokerName":"b","queueId":3,"offset":42}]',
  }
  for (const [name, text] of Object.entries(forms)) {
    it(name, () => expect(queueOffsets(parseFastjson(text))).toEqual([[queue(3), 42]]))
  }

  it('what is not a queue is left out', () => {
    expect(queueOffsets(parseFastjson('{"x":1,{"topic":"t"}:2}'))).toEqual([])
    expect(queueOffsets(undefined)).toEqual([])
  })
})
