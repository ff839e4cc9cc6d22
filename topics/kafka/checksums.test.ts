import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, test, vi } from 'vitest'
import { newTopic } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { KafkaLogOptions } from './log.ts'

vi.setConfig({ testTimeout: 30_000 })

const manifest = createRequire(import.meta.url).resolve('kafkajs/package.json')

/** SHA-256 of every file of kafkajs that `hardening.ts` reaches into, or whose behaviour the driver relies on. */
const CHECKSUMS = {
  'broker/index.js': '9cbea8898528c439c213080f99d86974460114f81b5034c49aeb593a0337ca90',
  'cluster/brokerPool.js': '9994863e891ac2ab243f27f941ef87893889f53d64aa580353fafbb8d11614c6',
  'cluster/connectionPoolBuilder.js': '05a6be8bbf9e2bb9de56e7fc66e1f752799271ebe595575d57f244d8de198233',
  'cluster/index.js': '3831a6845e4e9fb0de73d5ff50a3695974fb8a927acde677c524fe1c362bd57d',
  'consumer/assignerProtocol.js': 'd35452ae300d022164bc5c0218bd1269db8ec4641ca89968bea4c18aadaaf077',
  'index.js': '38d0022e448f0aaa72ad2ed16fac346a3dd3a2d28b64ca5395cb33a26c8a82e9',
  'network/connection.js': '2a993b2e74421ca6d846efd59e4ba74b11100dbe7d40d0f52ea3218e917aafdd',
  'network/connectionPool.js': 'ecba4ba6fc4f2a6e5f336b838b573dcca3f01fb39542530841d68691fe4957de',
  'network/connectionStatus.js': 'a0464f790cd648400dd655a133ea6bf86d21affeb86bc959aec867d2e97ff63f',
  'network/instrumentationEvents.js': '400989e4b1c2c2df5298e32cde50af2bcad3c306228dfb35f5860513b3b59e69',
  'network/requestQueue/index.js': 'b55986089c14f8f7bfc377922e2e65b3e4c1e7c7af2752d3b10a75dfe9e9260c',
  'network/requestQueue/socketRequest.js': 'dde28f8e26c6d17fe3383c60b2bfce27f4790ee4552ca7e73e78fdce30c6bf1d',
  'network/socket.js': '9922c37e8a4d9e6b040e3bf8d6d74ca9f4c39c3c875deadc0f9dc5052e714ebe',
  'network/socketFactory.js': '1493fc580263350fdbe75fa633b6df70f39d4b11d0520b45243cb1df45168577',
  'protocol/decoder.js': '83c43fac8d6b8ef2dcf0dfe8bc4494e84c2c94d2b59fbe41a670505a5fcba41b',
  'protocol/encoder.js': '9977889e184a9e910e4f6098c36ec6a0ca36c183aa6ead0f24191b6aa1c9a777',
  'protocol/error.js': '8911e3226a8aebddc2fffe2b2504379f966b804995dd911713c8c495c3673188',
  'protocol/request.js': '2270900ca6474026c11957fe71ac586881985460ed2554db22ad8870dcaff634',
  'protocol/requests/addOffsetsToTxn/index.js': '609b04a255dea57b79bf8d38554c4fb08c44d04cbf3f1d56ba5470f0552bfd7b',
  'protocol/requests/addOffsetsToTxn/v0/request.js': 'd5eeb947dcdcef63bb88cffa1e51311cbe74dc3ee0703e37f05b62863cb163c1',
  'protocol/requests/addOffsetsToTxn/v0/response.js': 'ae4340e8fea89c0285f3a25a3b5fc6ff6121a07afcd5a2ed26412161d1c41b0a',
  'protocol/requests/addOffsetsToTxn/v1/request.js': 'c46368e6d6242aa0c9665907ea58ed479c2434e3c087568312f932221627945a',
  'protocol/requests/addOffsetsToTxn/v1/response.js': '8756a0db169f240976d804a2f8193dc3634b320b971a3232e6be06443d3bdf7a',
  'protocol/requests/addPartitionsToTxn/index.js': 'c8ba0c49e488b4a88d0e28da90a4b3aa465459f9b4f26cf6708f875363d3b910',
  'protocol/requests/addPartitionsToTxn/v0/request.js': 'b6c018221a75ec280638640a1382da69b0e29b29146af7bba9a4c67eab2be4ee',
  'protocol/requests/addPartitionsToTxn/v0/response.js': '3603ff590179de015513b5ca99186a376b5501df4fb5e5e08edbaeb342ae2883',
  'protocol/requests/addPartitionsToTxn/v1/request.js': '6ee5d04a10fa8b4b38d898ef86b7dbcb33c61d55f12d50394ab30e6b33f151d6',
  'protocol/requests/addPartitionsToTxn/v1/response.js': 'dedf82dca83fe7827678f96204f5b8159698e7cbd5afdc26e157feef5c6e1a36',
  'protocol/requests/apiKeys.js': '3b45eaab564cb47d512fde51dffa29aa6f01d8b2124c43319d223a0d583524f6',
  'protocol/requests/endTxn/index.js': 'dae14e9eeae2141efdfa3db57f4292a1bdd4add63b1cab0977d1008c66a5ee9b',
  'protocol/requests/endTxn/v0/request.js': 'e9b540cff78a9f5a827d47b0920b10e6c136231c3c98231eafbaad0d93386f58',
  'protocol/requests/endTxn/v0/response.js': '771cafdf82db6a6054c69914200e3156343f35e062eab7ca9fcf5294eb91abd4',
  'protocol/requests/endTxn/v1/request.js': '745d4ce689db8be5a93ce14460a54cc78dc953529cd8678a59b3bae00fd0988c',
  'protocol/requests/endTxn/v1/response.js': '741223cf4144f899d933b73766f3eeec7de2e7187c5f52b4f644e4488de09425',
  'protocol/requests/findCoordinator/index.js': 'bb8b89c2f61567263cdfeda9afed328a049f5b59ac61ac151f42c7d2470a441f',
  'protocol/requests/findCoordinator/v1/request.js': 'e37f66d04b1c48dbeb8e76eca9731ec59dc69b0c4042ca6fd1380281d073905a',
  'protocol/requests/findCoordinator/v1/response.js': 'b2cdd529b4c6e1e3b2e188585ebc84b0136494595e626bcd5a12b4ec61dfb348',
  'protocol/requests/findCoordinator/v2/request.js': '084e07269e599ad9d529f22b27e226f11c38b90a8494218ce22911e43d4ae76a',
  'protocol/requests/findCoordinator/v2/response.js': 'a9fb30f949c2145a66dfd5ec100aef5eb2bb8832424058c51bec75683737cdc7',
  'protocol/requests/heartbeat/index.js': '89e6da6d6f7a646286a77385395ac5904bf04acca772ecd40c0985c185dcdabc',
  'protocol/requests/heartbeat/v0/response.js': 'c3318f1a3705ca0f28464249c077b5122fbbc0f2400aff9100eb80bb6ee48e6a',
  'protocol/requests/heartbeat/v1/response.js': '06ebc2fc6efdca3fca654f92097efbe35e84e24ac378eb01f803b2035559b694',
  'protocol/requests/heartbeat/v2/response.js': 'e80423afe8ead9fbe8cd5ced7810ea79cf114bfa63f0eaea7a9ab16ac3e22b28',
  'protocol/requests/heartbeat/v3/request.js': 'b6135c590f0b9a18907afa77033db67f54800eabe738363f077c109c219f492a',
  'protocol/requests/heartbeat/v3/response.js': '7af2aebce4967b261d15041dd7bbe65dfcc32b452aecdf19ee341915e8973ea5',
  'protocol/requests/index.js': 'fd26a30565d7f0c14883140b7f4edadc42f34278a5f40084009b940c858ea2fd',
  'protocol/requests/initProducerId/index.js': 'cf89fc83177222ab9cbccb4212a358b35b152ee99f8c70a4020e062dfcd1e5f8',
  'protocol/requests/initProducerId/v0/request.js': 'b70b6f976cbfb4b4746f5f1b04a20b5cec6098a9b1e2822ba718cca2b1196a33',
  'protocol/requests/initProducerId/v0/response.js': 'b5b1d1109c15d724f96e3a80838199a3daa66f078599b8c616059d1ff449cdb4',
  'protocol/requests/initProducerId/v1/request.js': '2b5ad070923c1d2bb604fd87fcb85f426d87187cf78a73532398b968d5131e79',
  'protocol/requests/initProducerId/v1/response.js': '350e19a7a976568f1c20418d6eb6d9451ffd82aa4f54ba9cfbc609a408a3824a',
  'protocol/requests/joinGroup/index.js': '4cb4c7839dba08fd9b7cb141df694debef2c170034763a69054a953f08ccfe7d',
  'protocol/requests/joinGroup/v5/request.js': 'de1abd9dd5aa1a25d7d0ce77fd8f4e1c22fa0eb3ca45ca2fc295e99ff11f5e4d',
  'protocol/requests/joinGroup/v5/response.js': '18fcd720b546c6ab4649cef49389a92de5f467bea7b80deb4b7701a7b0c1fb3e',
  'protocol/requests/leaveGroup/index.js': '4776435b9707619e98e1695ad9abb0efa7ce5ffa7860a5cadab393ba910ce52d',
  'protocol/requests/leaveGroup/v0/response.js': '60696e46993ba027ff373d8f6b7418219b64808b3e7d2344e14949892cdc4c61',
  'protocol/requests/leaveGroup/v1/response.js': '3bba10b2051ee959aeda5ad35ea13d0118261ddd957c0a898f96756c8561cfa1',
  'protocol/requests/leaveGroup/v2/response.js': '2d6968220aa5618c145316f5d64ec0d26f9332922d777df5e9e0aacdd33e8184',
  'protocol/requests/leaveGroup/v3/request.js': 'da922efba4952ab38cd4cff8b136b5676861ce980016561f5970b41fb07d3510',
  'protocol/requests/leaveGroup/v3/response.js': '202c91407314f4174f37299cda8076037a38f3038caca23de7b59de5bc50fab9',
  'protocol/requests/listOffsets/index.js': '0bdf5e38536fb1edbe50c1ee393f07722bf8457ef1c456b1f76f1c31208f4bcf',
  'protocol/requests/listOffsets/v2/request.js': '6fb3b04f2495bc32c29a3e085844291c8c6ac5f810e8c1b9c6446fcef7fc6e28',
  'protocol/requests/listOffsets/v2/response.js': '43180e96d147f4b4c960c072ac24679499b5907d89e28fc86268d76408dcfe6b',
  'protocol/requests/listOffsets/v3/request.js': 'f24e465291a02b3bb6a13d14e1d5f7444c52c243506b7cc76d303c39d99833ef',
  'protocol/requests/listOffsets/v3/response.js': '754ca5e16ab5787925bd6010d41f08c3926252f1c714d2f891c55970e794145d',
  'protocol/requests/metadata/index.js': '9db984ef0bbcd73a8008b18b394624b473ba19e1dbda91039fc7dafb82174672',
  'protocol/requests/metadata/v0/response.js': '9a1cbcfd0ac174b24f9b557df6f35cdc3b8f408ff10a95cddd6b5837296d2a8e',
  'protocol/requests/metadata/v4/request.js': 'af3aca9a38934b28a74f509e91347fd209fda235259f38619afbd46ccfc4cf4e',
  'protocol/requests/metadata/v5/request.js': '35cf69da76e49b73a3ef4f95f17822a145436869bab6c0a9befe3919d06c231f',
  'protocol/requests/metadata/v5/response.js': 'f1fe45dc4dfb4240e124005d3ffa305ae497c9dc28ac7d4883e02717012dfa92',
  'protocol/requests/metadata/v6/request.js': '5754da27596913349902b8984021f523029c6cb9b2d4eede8ccb9ecebdda28c9',
  'protocol/requests/metadata/v6/response.js': '08626a1a2f73fbb48b101eee83a32b2de13fb4cba620b9674d606a9826645262',
  'protocol/requests/syncGroup/index.js': 'af1092fccc5aee641a42a62024514c1cfe6f9c4c704b77552952170ec17938e4',
  'protocol/requests/syncGroup/v0/response.js': 'f1c9e018f5aeb809b3352863a09d359d832c2b6985f44ba1eb392412952feedc',
  'protocol/requests/syncGroup/v1/response.js': '02d71bd0673d14020b8316dc380a96a6d7235ced3fdd750bd832a11f589a3dc3',
  'protocol/requests/syncGroup/v2/response.js': 'ce29f60def08f0e79bf9cb3d5a908439b952fc8611c177891550ab2f1c20aebf',
  'protocol/requests/syncGroup/v3/request.js': '89d389fde4e0276b85f8e269a18adfcf88e69132179bed2c690323049f5ebf63',
  'protocol/requests/syncGroup/v3/response.js': '94ae1476ce88a518c9619243ad29bb9f6ad0faef56f26b8e9d3555c1b0092308',
}

describe('kafkajs', () => {
  test('is the version that the driver was written against', () => {
    expect(JSON.parse(readFileSync(manifest, 'utf8')).version).toBe('2.2.4')
  })

  test.each(Object.entries(CHECKSUMS))('has %s unchanged', (file, checksum) => {
    const text = readFileSync(join(manifest, '../src', file))
    expect(createHash('sha256').update(text).digest('hex')).toBe(checksum)
  })
})

await describeWithStack('a process that uses the log', ({ KAFKA_BROKERS }) => {
  /** What such a process prints on its error output: warnings of Node among it. */
  async function printed(code: string, options: object): Promise<string> {
    const args = ['--input-type=module', '-e', code, new URL('./', import.meta.url).href, JSON.stringify(options)]
    const { stderr } = await promisify(execFile)(process.execPath, args)
    return stderr
  }

  it('is not warned of timers of a negative time, of which kafkajs sets one after every response', async () => {
    const topic = newTopic({ partitions: 1 })
    const options: KafkaLogOptions = { kafka: { brokers: KAFKA_BROKERS.split(',') }, topics: [topic] }
    const hardened = `
      const { openKafkaLog } = await import(process.argv[1] + 'log.ts')
      const log = await openKafkaLog(JSON.parse(process.argv[2]))
      for (let i = 0; i < 20; i++) await log.append([{ topic: '${topic.name}', key: 'k', value: null }])
      await log.read({ topic: '${topic.name}', partition: 0 }, 0, { wait: 1_000 })
      await log.close()`
    expect(await printed(hardened, options)).toBe('')
    const plain = `
      import { createRequire } from 'node:module'
      const { Kafka } = createRequire(process.argv[1])('kafkajs')
      const admin = new Kafka(JSON.parse(process.argv[2]).kafka).admin()
      await admin.connect()
      for (let i = 0; i < 20; i++) await admin.fetchTopicMetadata({ topics: ['${topic.name}'] })
      await admin.disconnect()`
    expect(await printed(plain, options)).toContain('TimeoutNegativeWarning')
  })
})
