// The program's own input and output. Their functions run on the main thread, whatever thread asks.
import { Handle } from './handle.js';
import { call, copyBytes, fillBytes, native, register, unregister } from './native.js';

// Registers functions that C calls until it releases them. What one throws is kept for the call that fails of it.
class Callbacks {
  failure = null;
  #pointers = [];

  add(type, callback) {
    const pointer = register(type, (_user, ...values) => {
      try {
        callback(...values);
        return 0;
      } catch (error) {
        this.failure ??= { error };
        return 1;
      }
    });
    this.#pointers.push(pointer);
    return pointer;
  }
  addRelease() {
    return this.add('mnq_release_fn', () => setImmediate(() => this.end())); // not while it runs
  }
  end() {
    this.#pointers.forEach(unregister);
  }

  /** What was thrown since it was asked last, else the error. */
  take(error) {
    const thrown = this.failure;
    this.failure = null;
    return thrown?.error ?? error;
  }
}

// The handle that make(callbacks) creates; without it nothing would ever unregister them.
function createWith(callbacks, make) {
  try {
    return make();
  } catch (error) {
    callbacks.end();
    throw error;
  }
}

/** What a checkpoint is read from: read(offset, size) gives a Uint8Array of that size, at once. */
export class Reader extends Handle {
  callbacks;

  constructor(size, read) {
    const callbacks = new Callbacks();
    const fill = (offset, into, length) => {
      const bytes = read(Number(offset), Number(length));
      if (bytes.length !== Number(length)) throw new RangeError(`read gave ${bytes.length} bytes of ${length}`);
      fillBytes(into, bytes);
    };
    super(createWith(callbacks, () => call('reader_create', size, callbacks.add('mnq_read_fn', fill),
      callbacks.addRelease(), null)), native.reader_free);
    this.callbacks = callbacks;
  }
}

/** What a checkpoint is written to: write(offset, bytes), in any order; commit(size) and abort() may be left out. */
export class Writer extends Handle {
  callbacks;

  constructor({ write, commit = () => {}, abort = () => {} }) {
    const callbacks = new Callbacks();
    const take = (offset, data, size) => write(Number(offset), copyBytes(data, Number(size)));
    super(createWith(callbacks, () => call('writer_create', callbacks.add('mnq_write_fn', take),
      callbacks.add('mnq_commit_fn', (size) => commit(Number(size))), callbacks.add('mnq_abort_fn', () => abort()),
      callbacks.addRelease(), null)), native.writer_free);
    this.callbacks = callbacks;
  }

  /** A writer into memory; bytes is what was written. */
  static toMemory() {
    let bytes = Buffer.alloc(0);
    const reach = (size) => {
      if (size > bytes.length) bytes = Buffer.concat([bytes], Math.max(size, 2 * bytes.length));
    };
    const writer = new Writer({
      write(offset, data) {
        reach(offset + data.length);
        bytes.set(data, offset);
      },
      commit(size) {
        reach(size);
        bytes = bytes.subarray(0, size);
      },
    });
    Object.defineProperty(writer, 'bytes', { get: () => bytes });
    return writer;
  }
}
