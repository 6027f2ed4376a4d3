/** What every JSON header has around its values, in the order in which Java writes them (RocketMQ 5.3 `RemotingCommand`), as bytes. */
export const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))

export const BEFORE_CODE: Uint8Array = ascii('{"code":')
export const BEFORE_EXT_FIELDS: Uint8Array = ascii(',"extFields":{')
export const BEFORE_FLAG: Uint8Array = ascii(',"flag":')
export const BEFORE_LANGUAGE: Uint8Array = ascii(',"language":"')
export const BEFORE_OPAQUE: Uint8Array = ascii('","opaque":')
export const BEFORE_REMARK: Uint8Array = ascii(',"remark":"')
/** Behind the opaque, or the remark. */
export const BEFORE_VERSION: Uint8Array = ascii(',"serializeTypeCurrentRPC":"JSON","version":')
