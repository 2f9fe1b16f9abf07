/** What went wrong. */
export class MonoQuantError extends Error {
  /**
   * code is the status's name, 'NOT_FOUND'; suggestion says what to do about it, subject is the file, tensor, layer or key
   * at fault. Both may be ''.
   */
  constructor(status, code, message, { suggestion = '', subject = '' } = {}) {
    super(message);
    this.name = 'MonoQuantError';
    this.status = status;
    this.code = code;
    this.suggestion = suggestion;
    this.subject = subject;
  }
}
