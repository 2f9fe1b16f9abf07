// A job's run: what the options of each job say, settings, callbacks and an AbortSignal, from its start to its end.
import { applySettings, configOf } from './config.js';
import { Handle } from './handle.js';
import { call, callAsync, nameOf, native, register, takeText, unregister } from './native.js';

class Run extends Handle {
  #callbacks = [];
  failure = null; // { error }: what a callback threw

  constructor(settings) {
    super(call('run_create'), native.run_free);
    applySettings(settings, (key, value) => call('run_set', this, key, String(value)),
      (glob, key, value) => call('run_set_for_layers', this, glob, key, String(value)));
  }

  // C hears 1, which stops the job, where the callback says false or throws.
  #watch(setter, type, callback) {
    const pointer = register(type, (_user, ...values) => {
      try {
        return callback(...values) === false ? 1 : 0;
      } catch (error) {
        this.failure ??= { error };
        return 1;
      }
    });
    this.#callbacks.push(pointer);
    call(setter, this, pointer, null);
  }

  watch({ progress, observer, log }) {
    if (progress) this.#watch('run_set_progress', 'mnq_progress_fn', (done, total) => progress(Number(done), Number(total)));
    if (observer) {
      this.#watch('run_set_observer', 'mnq_observer_fn', (index, count, layer, action, sqnrDb) =>
        observer({ index: Number(index), count: Number(count), layer, action, sqnrDb }));
    }
    if (log) this.#watch('run_set_log_callback', 'mnq_log_fn', (level, message) => log(nameOf('mnq_log_level', level), message));
  }

  end() {
    this.close();
    this.#callbacks.forEach(unregister);
  }
}

/** A run of settings alone; null where there are none. */
export const runOf = (settings) => (settings ? new Run(settings) : null);

/**
 * Calls a C function whose inputs end with the run on another thread, and gives back make(its outputs). The run is of
 * options: `call` (settings), `progress`, `observer`, `log`, `signal`. What a callback threw, or the signal's reason, is what
 * comes out.
 */
export async function runJob(options, make, name, ...inputs) {
  const { call: settings, signal } = options;
  signal?.throwIfAborted();
  const run = new Run(settings);
  const cancel = () => native.run_cancel(run.pointer);
  signal?.addEventListener('abort', cancel);
  try {
    run.watch(options);
    const made = make(await callAsync(name, ...inputs, run));
    if (run.failure) throw run.failure.error; // of a log, which stops nothing
    return made;
  } catch (error) {
    if (error.code === 'CANCELLED' && signal?.aborted && !run.failure) throw signal.reason;
    throw run.failure?.error ?? error;
  } finally {
    signal?.removeEventListener('abort', cancel);
    run.end();
  }
}

/** The same for a function that takes the options' config before the run. */
export function runConfiguredJob(options, make, name, ...inputs) {
  return runJob(options, make, name, ...inputs, configOf(options.config));
}

/** The value that holds for a key, and who set it: resolve('bits', { config, call, layer }). */
export function resolve(key, { config, call: settings, layer = null } = {}) {
  const [value, source] = call('config_resolve', configOf(config), runOf(settings), layer, key);
  return { value: takeText(value), source };
}
