import { fileURLToPath } from 'node:url';

/** A path as C takes it, from a text or a file URL. */
export const pathText = (path) => (path instanceof URL ? fileURLToPath(path) : String(path));
