import { configOf } from './config.js';
import { Handle } from './handle.js';
import { call, callAsync, native, numberOf, takeText } from './native.js';
import { runOf } from './run.js';
import { asTensor } from './tensor.js';

function dtypeNumber(dtype) {
  const number = numberOf('mnq_dtype', dtype);
  if (number === undefined) throw new TypeError(`'${dtype}' is no dtype`);
  return number;
}

/** A Linear layer by itself, packed once and multiplied in integers; Model.linear gives that of a model. */
export class Linear extends Handle {
  constructor(pointer) {
    super(pointer, native.linear_free);
  }

  /** Quantizes floats: weight [out, in] and bias [out]. Options: config, and call (settings). */
  static async from(weight, bias = null, { config, call: settings } = {}) {
    return new Linear(await callAsync('linear_from_floats', weight, bias, configOf(config), runOf(settings)));
  }

  /** rows [.., in] of F32 or BF16 to [.., out], of the same dtype unless another is named. */
  async run(rows, { dtype = rows.dtype } = {}) {
    return asTensor(await callAsync('linear_run_tensor', this, rows, dtypeNumber(dtype)));
  }

  /** name, scheme, output_count, row_length, size_bytes... */
  describe() {
    return JSON.parse(takeText(call('linear_describe', this)));
  }
}

/** The table of a layer; Model.embedding gives it. */
export class Embedding extends Handle {
  #reader; // whose failures are those of calls on this table

  constructor(pointer, reader = null) {
    super(pointer, native.embedding_free);
    this.#reader = reader;
  }

  /** Rows as floats: indices of any shape, I64 or I32, to [.., row length]. */
  async run(indices, { dtype = 'F32' } = {}) {
    try {
      return asTensor(await callAsync('embedding_run_tensor', this, indices, dtypeNumber(dtype)));
    } catch (error) {
      throw this.#reader?.callbacks.take(error) ?? error;
    }
  }

  /** name, scheme, row_count, row_length. */
  describe() {
    return JSON.parse(takeText(call('embedding_describe', this)));
  }
}
