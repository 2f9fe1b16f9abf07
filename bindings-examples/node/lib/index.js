// The library, as a JavaScript program wants it: promises for what takes time, an AbortSignal to stop it, errors with advice.
import { call, nameOf, native, register, takeText } from './native.js';

export { MonoQuantError } from './error.js';
export { Config, listKeys } from './config.js';
export { resolve } from './run.js';
export { Report } from './report.js';
export { Tensor } from './tensor.js';
export { Values } from './values.js';
export { Reader, Writer } from './streams.js';
export { Model } from './model.js';
export { Embedding, Linear } from './linear.js';
export * from './jobs.js';

export const version = () => native.version();
export const abiVersion = () => ({ major: native.abi_version() >> 16, minor: native.abi_version() & 0xffff });
export const buildInfo = () => JSON.parse(takeText(call('build_info')));
export const listCapabilities = () => JSON.parse(takeText(call('list_capabilities')));

/** How many threads jobs use where the key threads is not set; 0 sets one for each CPU again. */
export const threads = () => native.threads();
export const setThreads = (count) => call('set_threads', count);

/** Receives the messages of jobs that have no log of their own: log('WARNING' or 'INFO', message); null for none. */
export function setLog(log) {
  // Never unregistered: another thread may be in the one before.
  const pointer = log && register('mnq_log_fn', (_user, level, message) => {
    try {
      log(nameOf('mnq_log_level', level), message);
    } catch {
      // There is no call that it could come out of.
    }
  });
  call('set_log_callback', pointer, null);
}
