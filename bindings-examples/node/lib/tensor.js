import { Handle } from './handle.js';
import { call, copyBytes, nameOf, native, numberOf, readArray } from './native.js';

const arrays = {
  F32: Float32Array, F64: Float64Array, I8: Int8Array, U8: Uint8Array, I16: Int16Array, U16: Uint16Array, I32: Int32Array,
  U32: Uint32Array, I64: BigInt64Array, U64: BigUint64Array, F16: Uint16Array, BF16: Uint16Array, BOOL: Uint8Array,
};

const dtypeOf = (array) => Object.keys(arrays).find((name) => array.constructor === arrays[name]) ?? 'U8';

/** Row-major data that is never changed. */
export class Tensor extends Handle {
  constructor(pointer) {
    super(pointer, native.tensor_free);
  }

  /** A copy of a typed array. dtype: its own unless said ('BF16' of a Uint16Array, anything of a Uint8Array). */
  static from(shape, array, dtype = dtypeOf(array)) {
    const number = numberOf('mnq_dtype', dtype);
    if (number === undefined) throw new TypeError(`'${dtype}' is no dtype`);
    return new Tensor(call('tensor_create', number, shape, shape.length, array, array.byteLength));
  }

  get dtype() {
    return nameOf('mnq_dtype', native.tensor_dtype(this.pointer));
  }
  get shape() {
    return readArray(native.tensor_shape(this.pointer), 'int64_t', native.tensor_rank(this.pointer));
  }
  get sizeBytes() {
    return native.tensor_size_bytes(this.pointer);
  }

  /** Copies. values(): as the typed array of its dtype; 16 bit floats as their bits, smaller ones as bytes. */
  bytes() {
    return copyBytes(native.tensor_data(this.pointer), this.sizeBytes);
  }
  values() {
    const bytes = new Uint8Array(this.bytes());
    return new (arrays[this.dtype] ?? Uint8Array)(bytes.buffer);
  }
}

export const asTensor = (pointer) => new Tensor(pointer);
