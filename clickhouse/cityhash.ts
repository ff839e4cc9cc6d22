/**
 * CityHash128 of version 1.0.2, the checksum of ClickHouse's compressed blocks (github.com/ClickHouse/ClickHouse,
 * contrib/cityhash102). Later versions of CityHash give other values, and no package of npm has this one.
 *
 * Beginning and end are reckoned in BigInt, which is slow; what is between, in halves of 32 bits.
 */

const K0 = 0xc3a5c85c97cb3127n
const K1 = 0xb492b66fbe98f273n
const K2 = 0x9ae16a3b2f90404fn
const K3 = 0xc949d7c7509e6557n
const MUL = 0x9ddfea08eb382d69n

const u64 = (value: bigint) => BigInt.asUintN(64, value)
const add = (a: bigint, b: bigint) => BigInt.asUintN(64, a + b)
const mul = (a: bigint, b: bigint) => BigInt.asUintN(64, a * b)
const rot = (value: bigint, by: bigint) => (value >> by) | BigInt.asUintN(64, value << (64n - by))
const mix = (value: bigint) => value ^ (value >> 47n)

interface Pair {
  low: bigint
  high: bigint
}

/** As it stands in front of a block: 16 bytes, low half first. */
export function cityHash128(bytes: Uint8Array): Buffer {
  const s = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { low, high } = hash(s)
  const out = Buffer.allocUnsafe(16)
  out.writeBigUInt64LE(low, 0)
  out.writeBigUInt64LE(high, 8)
  return out
}

function hash(s: Buffer): Pair {
  const n = s.length
  if (n >= 16) return seeded(s.subarray(16), s.readBigUInt64LE(0) ^ K3, s.readBigUInt64LE(8))
  if (n >= 8) return seeded(s.subarray(n), s.readBigUInt64LE(0) ^ mul(BigInt(n), K0), s.readBigUInt64LE(n - 8) ^ K1)
  return seeded(s, K0, K1)
}

function seeded(s: Buffer, low: bigint, high: bigint): Pair {
  return s.length < 128 ? murmur(s, low, high) : long(s, low, high)
}

function pair(low: bigint, high: bigint): bigint {
  const a = mix(mul(low ^ high, MUL))
  return mul(mix(mul(high ^ a, MUL)), MUL)
}

function upTo16(s: Buffer): bigint {
  const n = s.length
  if (n > 8) {
    const [a, b] = [s.readBigUInt64LE(0), s.readBigUInt64LE(n - 8)]
    return pair(a, rot(add(b, BigInt(n)), BigInt(n))) ^ b
  }
  if (n >= 4) return pair(add(BigInt(n), BigInt(s.readUInt32LE(0)) << 3n), BigInt(s.readUInt32LE(n - 4)))
  if (n === 0) return K2
  const y = BigInt((s[0] as number) + ((s[n >> 1] as number) << 8))
  const z = BigInt(n + ((s[n - 1] as number) << 2))
  return mul(mix(mul(y, K2) ^ mul(z, K3)), K2)
}

function murmur(s: Buffer, low: bigint, high: bigint): Pair {
  const n = s.length
  let [a, b, c, d] = [low, high, 0n, 0n]
  if (n <= 16) {
    a = mul(mix(mul(a, K1)), K1)
    c = add(mul(b, K1), upTo16(s))
    d = mix(add(a, n >= 8 ? s.readBigUInt64LE(0) : c))
  } else {
    c = pair(add(s.readBigUInt64LE(n - 8), K1), a)
    d = pair(add(b, BigInt(n)), add(c, s.readBigUInt64LE(n - 16)))
    a = add(a, d)
    for (let at = 0; at === 0 || n - 16 - at > 0; at += 16) {
      a = mul(a ^ mul(mix(mul(s.readBigUInt64LE(at), K1)), K1), K1)
      b ^= a
      c = mul(c ^ mul(mix(mul(s.readBigUInt64LE(at + 8), K1)), K1), K1)
      d ^= c
    }
  }
  a = pair(a, c)
  b = pair(d, b)
  return { low: a ^ b, high: pair(b, a) }
}

function long(s: Buffer, low: bigint, high: bigint): Pair {
  const n = s.length
  let [x, y, z] = [low, high, mul(BigInt(n), K1)]
  let v0 = add(mul(rot(y ^ K1, 49n), K1), s.readBigUInt64LE(0))
  let v1 = add(mul(rot(v0, 42n), K1), s.readBigUInt64LE(8))
  let w0 = add(mul(rot(add(y, z), 35n), K1), x)
  let w1 = mul(rot(add(x, s.readBigUInt64LE(88)), 53n), K1)
  ;({ x, y, z, v0, v1, w0, w1 } = rounds(s, { x, y, z, v0, v1, w0, w1 }))
  y = u64(y + mul(rot(w0, 37n), K0) + z)
  x = add(x, mul(rot(add(v0, z), 49n), K0))
  for (let back = 32; back < (n % 128) + 32; back += 32) {
    const from = n - back
    y = add(mul(rot(u64(y - x), 42n), K0), v1)
    w0 = add(w0, s.readBigUInt64LE(from + 16))
    x = add(mul(rot(x, 49n), K0), w0)
    w0 = add(w0, v0)
    let a = add(v0, s.readBigUInt64LE(from))
    const b = rot(u64(v1 + a + s.readBigUInt64LE(from + 24)), 21n)
    const c = a
    a = u64(a + s.readBigUInt64LE(from + 8) + s.readBigUInt64LE(from + 16))
    v0 = add(a, s.readBigUInt64LE(from + 24))
    v1 = u64(b + rot(a, 44n) + c)
  }
  x = pair(x, v0)
  y = pair(y, w0)
  return { low: add(pair(add(x, v1), w1), y), high: pair(add(x, w1), add(y, v1)) }
}

type State = Record<'x' | 'y' | 'z' | 'v0' | 'v1' | 'w0' | 'w1', bigint>

/** 64 bytes at a time, all whole 128. */
function rounds(s: Buffer, state: State): State {
  const view = new DataView(s.buffer, s.byteOffset, s.byteLength)
  const halves = (value: bigint) => [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))] as const
  const whole = (low: number, high: number) => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  let [xl, xh] = halves(state.x)
  let [yl, yh] = halves(state.y)
  let [zl, zh] = halves(state.z)
  let [v0l, v0h] = halves(state.v0)
  let [v1l, v1h] = halves(state.v1)
  let [w0l, w0h] = halves(state.w0)
  let [w1l, w1h] = halves(state.w1)
  const until = s.length - (s.length % 128)
  for (let at = 0; at < until; at += 64) {
    // x = rot(x + y + v0 + s[16], 37) * K1 ^ w1
    xl = sum(xl, xh, yl, yh)
    xl = sum(xl, high, v0l, v0h)
    xl = sum(xl, high, view.getInt32(at + 16, true), view.getInt32(at + 20, true))
    xl = timesK1(turn(xl, high, 37), high) ^ w1l
    xh = high ^ w1h
    // y = rot(y + v1 + s[48], 42) * K1 ^ v0
    yl = sum(yl, yh, v1l, v1h)
    yl = sum(yl, high, view.getInt32(at + 48, true), view.getInt32(at + 52, true))
    yl = timesK1(turn(yl, high, 42), high) ^ v0l
    yh = high ^ v0h
    // z = rot(z ^ w0, 33)
    zl = turn(zl ^ w0l, zh ^ w0h, 33)
    zh = high
    // v = weak(s[0..32], v1 * K1, x + w0); w = weak(s[32..64], z + w1, y)
    const al = timesK1(v1l, v1h)
    const ah = high
    const bl = sum(xl, xh, w0l, w0h)
    v1l = weak(view, at, al, ah, bl, high)
    v1h = high
    v0l = firstLow
    v0h = firstHigh
    const cl = sum(zl, zh, w1l, w1h)
    w1l = weak(view, at + 32, cl, high, yl, yh)
    w1h = high
    w0l = firstLow
    w0h = firstHigh
    ;[xl, xh, zl, zh] = [zl, zh, xl, xh]
  }
  const [x, y, z] = [whole(xl, xh), whole(yl, yh), whole(zl, zh)]
  return { x, y, z, v0: whole(v0l, v0h), v1: whole(v1l, v1h), w0: whole(w0l, w0h), w1: whole(w1l, w1h) }
}

/** High half of the last result, whose low half was given back. */
let high = 0

function sum(al: number, ah: number, bl: number, bh: number): number {
  const low = (al + bl) | 0
  high = (ah + bh + (low >>> 0 < al >>> 0 ? 1 : 0)) | 0
  return low
}

/** To the right. */
function turn(low: number, top: number, by: number): number {
  const [l, h, n] = by < 32 ? [low, top, by] : [top, low, by - 32]
  high = (h >>> n) | (l << (32 - n))
  return (l >>> n) | (h << (32 - n))
}

const K1_LOW = Number(K1 & 0xffffffffn) | 0
const K1_HIGH = Number(K1 >> 32n) | 0
const [K1_0, K1_1] = [K1_LOW & 0xffff, K1_LOW >>> 16]

function timesK1(low: number, top: number): number {
  const [a0, a1] = [low & 0xffff, low >>> 16]
  const middle = (Math.imul(a1, K1_0) >>> 0) + (Math.imul(a0, K1_0) >>> 16)
  const other = (Math.imul(a0, K1_1) >>> 0) + (middle & 0xffff)
  const carried = Math.imul(a1, K1_1) + ((middle / 65536) | 0) + ((other / 65536) | 0)
  high = (carried + Math.imul(low, K1_HIGH) + Math.imul(top, K1_LOW)) | 0
  return Math.imul(low, K1_LOW)
}

/** First half of what `weak` makes; the second is its answer. */
let [firstLow, firstHigh] = [0, 0]

/** Mixes 32 bytes into two numbers. */
function weak(view: DataView, at: number, al: number, ah: number, bl: number, bh: number): number {
  const [wl, wh] = [view.getInt32(at, true), view.getInt32(at + 4, true)]
  const [zl, zh] = [view.getInt32(at + 24, true), view.getInt32(at + 28, true)]
  let l = sum(al, ah, wl, wh)
  let h = high
  const [cl, ch] = [l, h]
  let b = sum(bl, bh, l, h)
  b = sum(b, high, zl, zh)
  b = turn(b, high, 21)
  const turned = high
  l = sum(l, h, view.getInt32(at + 8, true), view.getInt32(at + 12, true))
  l = sum(l, high, view.getInt32(at + 16, true), view.getInt32(at + 20, true))
  h = high
  firstLow = sum(l, h, zl, zh)
  firstHigh = high
  const quarter = turn(l, h, 44)
  b = sum(b, turned, quarter, high)
  return sum(b, high, cl, ch)
}
