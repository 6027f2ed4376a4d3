import type { Checker } from '../evidence.ts'

/** Body, tag and keys are those that were sent, in every handler and in every store. */
export const payloadUnaltered: Checker = ({ history, stored }) => [
  ...history.alterations.map(({ id, member, what }) => ({
    checker: 'payload-unaltered',
    sentence: `${member} received ${id}, and it is not as it was sent: ${what}`,
    about: [id, member],
  })),
  ...stored
    .filter(({ difference, id }) => difference !== undefined && id !== undefined)
    .map(({ id, brokerName, topic, queueId, queueOffset, difference }) => ({
      checker: 'payload-unaltered',
      sentence: `${brokerName} serves ${id} at offset ${queueOffset} of queue ${queueId} of ${topic}, and it is not as it was sent: ${difference}`,
      about: [id as string, brokerName],
    })),
]
