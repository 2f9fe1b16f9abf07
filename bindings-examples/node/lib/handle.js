// What owns something of the library. close() frees it; what nobody closed is freed once nobody can reach it.
const forgotten = new FinalizationRegistry(({ pointer, free }) => free(pointer));

export class Handle {
  #pointer;
  #free;
  #held = 0;
  #isClosed = false;

  constructor(pointer, free) {
    this.#pointer = pointer;
    this.#free = free;
    forgotten.register(this, { pointer, free }, this);
  }

  get pointer() {
    if (this.#isClosed) throw new TypeError(`this ${this.constructor.name} is closed`);
    return this.#pointer;
  }

  /** Frees it, once no call is at work with it. Again: nothing. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    forgotten.unregister(this);
    if (this.#held === 0) this.#free(this.#pointer);
  }

  /** Calls on other threads keep what they use. */
  hold() {
    this.#held += 1;
  }
  drop() {
    this.#held -= 1;
    if (this.#held === 0 && this.#isClosed) this.#free(this.#pointer);
  }
}

// `using` closes it, in what knows that word.
if (Symbol.dispose) {
  Handle.prototype[Symbol.dispose] = function dispose() {
    this.close();
  };
}
