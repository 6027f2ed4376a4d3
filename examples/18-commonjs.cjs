/** CommonJS: `require` works, as Node loads ECMAScript modules by it from 20.19 and 22.12 on. */
const { createClient, RocketError } = require('@skylarkmq/client')

async function main() {
  const client = await createClient({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' })
  const topic = `commonjs-${Date.now().toString(36)}`
  try {
    const producer = client.producer({ group: 'example-producers' })
    const { queue } = await producer.send({ topic, body: 'from CommonJS' })
    const consumer = client.pullConsumer({ group: `${topic}-readers`, consumeFrom: 'first' })
    await consumer.assign([queue])
    const [message] = await consumer.poll()
    console.log(message?.text)
    await producer.send({ topic, body: '' }).catch((error) => console.log(error instanceof RocketError, error.code))
  } finally {
    await client.close()
  }
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
