import { Handle } from './handle.js';
import { call, nameOf, native } from './native.js';
import { Tensor } from './tensor.js';

const readers = {
  NONE: () => null,
  TENSOR: (values, i) => new Tensor(call('values_get_tensor', values, i)),
  INT: (values, i) => call('values_get_int', values, i),
  FLOAT: (values, i) => call('values_get_float', values, i),
  BOOL: (values, i) => call('values_get_int', values, i) !== 0,
  TEXT: (values, i) => native.values_get_text(values.pointer, i),
};

/** What goes into a method of a module or comes out of it, and the parts of a quantized tensor: a list of named values. */
export class Values extends Handle {
  constructor(pointer = call('values_create')) {
    super(pointer, native.values_free);
  }

  /** Of a list, or of an object whose keys are the names. */
  static from(values) {
    const made = new Values();
    if (Array.isArray(values)) values.forEach((value) => made.add(value));
    else Object.entries(values).forEach(([name, value]) => made.add(value, name));
    return made;
  }

  /** A Tensor, number, bigint (an integer, as whole numbers are; a float is { float: 2 }), boolean, text or null. */
  add(value, name = null) {
    if (value instanceof Tensor) call('values_add_tensor', this, name, value);
    else if (value === null) call('values_add_none', this, name);
    else if (typeof value === 'boolean') call('values_add_bool', this, name, value ? 1 : 0);
    else if (typeof value === 'string') call('values_add_text', this, name, value);
    else if (typeof value === 'bigint' || Number.isInteger(value)) call('values_add_int', this, name, value);
    else call('values_add_float', this, name, typeof value === 'object' ? value.float : value);
    return this;
  }

  get length() {
    return native.values_count(this.pointer);
  }
  name(index) {
    return native.values_name(this.pointer, index);
  }
  value(index) {
    const kind = nameOf('mnq_value_kind', native.values_kind(this.pointer, index));
    return readers[kind](this, index);
  }
  *[Symbol.iterator]() {
    for (let i = 0; i < this.length; i += 1) yield [this.name(i), this.value(i)];
  }
}
