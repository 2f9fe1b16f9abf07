/*
 * mono_quant.h - quantize the weights of any PyTorch model from any language.
 *
 * A checkpoint goes in, a smaller one comes out, with a report of what it cost in accuracy:
 *
 *     mnq_error *error = NULL;
 *     mnq_config *config = NULL;
 *     mnq_report *report = NULL;
 *     if (mnq_config_create("{\"bits\": 4, \"group_size\": 128}", &config, &error) == MNQ_OK &&
 *         mnq_quantize_file("model.safetensors", "model-int4.safetensors", config, NULL, &report, &error) == MNQ_OK)
 *       puts(mnq_report_json(report));
 *     else
 *       fprintf(stderr, "%s\n", mnq_error_message(error));
 *     mnq_report_free(report);
 *     mnq_config_free(config);
 *     mnq_error_free(error);
 *
 * Rules, true of every function below unless it says otherwise
 *
 *  Status     Every call that can fail (MNQ_CALL) returns an mnq_status, which must not go unseen, and takes an
 *             `mnq_error **error` last, which may be NULL. On failure *error is a new error that the caller frees; on
 *             success it is NULL. No error is kept per thread. Nothing is printed; no exception, abort or longjmp
 *             crosses this boundary, not even out of memory.
 *  Outputs    An output handle is set to NULL on entry and stays so on failure; other outputs are untouched on failure.
 *             An output pointer may be NULL only where it is said.
 *  Ownership  Handles are freed by their own _free function; _free(NULL) does nothing. A returned `const char *` or
 *             pointer to data is borrowed: valid until its handle is freed (or, where said, next changed). Static
 *             strings are valid for ever. free() is never called on anything that came from here. A handle that was
 *             freed, or is of another kind, is INVALID_ARG in most cases, as NULL is, and freeing it again does
 *             nothing; that is for finding mistakes, not for relying on.
 *  Threads    A const handle may be used by any number of threads at once. A non-const handle by one at a time.
 *             mnq_run_cancel is the exception: any thread, any time, and from a signal handler. Functions without a
 *             handle may be called from any thread. Do not fork() while a job runs.
 *  Models     are immutable. Quantize, dequantize and clone give new ones. The input is never changed.
 *  Text       is UTF-8 and NUL-terminated, what goes in and what comes out. A path may be any bytes that the file
 *             system takes; in messages and reports U+FFFD stands for those that are no UTF-8. Numbers are read and
 *             written, and patterns matched, the same in every locale.
 *  Numbers    are computed with IEEE 754's default rounding and underflow, whatever the calling thread has set for
 *             itself; that is there again when a call returns. The same input gives the same bits everywhere.
 *  Files      An output file appears whole or not at all: it is written under a temporary name in the same folder,
 *             synced and renamed. What is there already is replaced only where the key `overwrite` is true, and never
 *             the input; of a folder its checkpoint is replaced, and what else lies there stays. What replaces
 *             something has its permissions. STATE where another run is at work on the same output: the message says
 *             which. What a killed run left is removed, or put in place, by the next one with that output. A limit on
 *             the size of files (RLIMIT_FSIZE) is IO, and no signal.
 *  ABI        soname libmono_quant.so.1. Within major 1 nothing is removed and no number changes; new functions are
 *             added. All functions here are there since 1.0, but for those that say since when.
 */
#ifndef MONO_QUANT_H
#define MONO_QUANT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MNQ_API __attribute__((visibility("default")))
#else
#define MNQ_API
#endif

/* A status that nobody looks at is told of when the program is compiled. A program may define it as nothing before. */
#ifndef MNQ_MUST_CHECK
#if defined(__GNUC__)
#define MNQ_MUST_CHECK __attribute__((warn_unused_result))
#else
#define MNQ_MUST_CHECK
#endif
#endif

/* Before each call that can fail. */
#define MNQ_CALL MNQ_API MNQ_MUST_CHECK

/* After each function: none throws. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define MNQ_NOEXCEPT noexcept
#else
#define MNQ_NOEXCEPT
#endif

/* A function that has a better one since: it stays, and its use is told of when a program is compiled. */
#if defined(__GNUC__)
#define MNQ_DEPRECATED(instead) __attribute__((deprecated(instead)))
#else
#define MNQ_DEPRECATED(instead)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status codes ---------------------------------------------------------------------------------------------- */

typedef int32_t mnq_status;
enum {
  MNQ_OK = 0,
  MNQ_E_INVALID_ARG = 1, /* a NULL, a size or a value that cannot be */
  MNQ_E_CONFIG = 2,      /* an unknown key, a bad value, an impossible combination */
  MNQ_E_NOT_FOUND = 3,   /* no such file, tensor, layer or key */
  MNQ_E_IO = 4,          /* the operating system refused: permissions, full disk, file exists */
  MNQ_E_FORMAT = 5,      /* the file is not what its format demands */
  MNQ_E_UNSUPPORTED = 6, /* known, but not there (yet) */
  MNQ_E_SHAPE = 7,
  MNQ_E_DTYPE = 8,
  MNQ_E_CALIBRATION = 9,
  MNQ_E_VALIDATION = 10, /* weights that are not finite; accuracy below what was asked for */
  MNQ_E_CANCELLED = 11,
  MNQ_E_BUFFER_TOO_SMALL = 12,
  MNQ_E_STATE = 13, /* not now: a call out of order, or another run is at work there */
  MNQ_E_OUT_OF_MEMORY = 14,
  MNQ_E_TORCH = 15,
  MNQ_E_ABI = 16,
  MNQ_E_INTERNAL = 99 /* a defect of the library: please report it */
};

/* ---- Element types --------------------------------------------------------------------------------------------- */

typedef int32_t mnq_dtype;
enum {
  MNQ_DTYPE_BOOL = 1,
  MNQ_DTYPE_U8 = 2,
  MNQ_DTYPE_I8 = 3,
  MNQ_DTYPE_U16 = 4,
  MNQ_DTYPE_I16 = 5,
  MNQ_DTYPE_U32 = 6,
  MNQ_DTYPE_I32 = 7,
  MNQ_DTYPE_U64 = 8,
  MNQ_DTYPE_I64 = 9,
  MNQ_DTYPE_F16 = 10,
  MNQ_DTYPE_BF16 = 11,
  MNQ_DTYPE_F32 = 12,
  MNQ_DTYPE_F64 = 13,
  MNQ_DTYPE_C64 = 14,
  MNQ_DTYPE_F8_E4M3 = 15,
  MNQ_DTYPE_F8_E5M2 = 16,
  MNQ_DTYPE_F8_E8M0 = 17,
  MNQ_DTYPE_F6_E2M3 = 18,
  MNQ_DTYPE_F6_E3M2 = 19,
  MNQ_DTYPE_F4 = 20,
  MNQ_DTYPE_F8_E4M3FNUZ = 21,
  MNQ_DTYPE_F8_E5M2FNUZ = 22
};

/* ---- Handles --------------------------------------------------------------------------------------------------- */

typedef struct mnq_error mnq_error;         /* what went wrong, and what to do about it */
typedef struct mnq_buffer mnq_buffer;       /* bytes or text that the library made */
typedef struct mnq_config mnq_config;       /* settings, as keys and values */
typedef struct mnq_tensor mnq_tensor;       /* one tensor: element type, shape, data */
typedef struct mnq_model mnq_model;         /* a checkpoint held open, float or quantized */
typedef struct mnq_layers mnq_layers;       /* the layers of a model, and what would happen to each */
typedef struct mnq_run mnq_run;             /* one job's progress, cancel and settings of its own */
typedef struct mnq_report mnq_report;       /* what a job did, and what it cost */
typedef struct mnq_values mnq_values;       /* what goes into a method of a module, or comes out of it */
typedef struct mnq_reader mnq_reader;       /* the program's own input, read by position; since 1.2 */
typedef struct mnq_writer mnq_writer;       /* the program's own output, written by position; since 1.2 */
typedef struct mnq_linear mnq_linear;       /* a Linear layer, packed to be run; since 1.2 */
typedef struct mnq_embedding mnq_embedding; /* a table of rows, decoded as they are gathered; since 1.2 */
typedef struct mnq_api mnq_api;             /* every function below, as a table: mono_quant_api.h */

/* ---- Library --------------------------------------------------------------------------------------------------- */

#define MNQ_ABI_VERSION_MAJOR 1
#define MNQ_ABI_VERSION_MINOR 2
#define MNQ_ABI_VERSION (MNQ_ABI_VERSION_MAJOR * 65536U + MNQ_ABI_VERSION_MINOR) /* in #if, too */

/* The ABI version of the library that is loaded: major << 16 | minor. */
MNQ_API uint32_t mnq_abi_version(void) MNQ_NOEXCEPT;

/* The version of the library that is loaded, as "1.0.0"; a static string. */
MNQ_API const char* mnq_version(void) MNQ_NOEXCEPT;

/* How the library was built and what it uses here, as a JSON object: "version", "abi_version", "compiler",
 * "build_type", "isa" (in use), "isa_available", "kernels" (name -> isa that runs), "threads", "libtorch" (its version
 * once a module has been opened, else null), "formats", "schemes", "methods". Fails with UNSUPPORTED where MNQ_ISA
 * names an instruction set that this CPU does not have. */
MNQ_CALL mnq_status mnq_build_info(mnq_buffer** out, mnq_error** error) MNQ_NOEXCEPT;

/* What can be asked for, as a JSON object of lists: "schemes" (values of the key `dtype`: "name", "text", "bits",
 * "is_cast", "per_tensor" (whether it may be), "symmetric_default", "group_size_default", "methods", "in_modules"),
 * "methods" ("name", "text"), "layer_kinds" ("name", "rank", "channel_axis"), "layouts" ("name", and the "schemes" that
 * lie so) and "formats" ("name", "extensions", "reads", "writes", "is_folder", "layout": where it is
 * written). Since 1.2. */
MNQ_CALL mnq_status mnq_list_capabilities(mnq_buffer** out, mnq_error** error) MNQ_NOEXCEPT;

/* "OK", "CONFIG", "FORMAT"...; "UNKNOWN" for a number that is none. A static string. */
MNQ_API const char* mnq_status_name(mnq_status status) MNQ_NOEXCEPT;

/* "F32", "I8"...; "UNKNOWN" for a number that is none. A static string. */
MNQ_API const char* mnq_dtype_name(mnq_dtype dtype) MNQ_NOEXCEPT;

typedef int32_t mnq_log_level;
enum { MNQ_LOG_WARNING = 1, MNQ_LOG_INFO = 2 };

/* Receives messages, from any thread, possibly from several at once. Must not call back into the library. */
typedef void (*mnq_log_fn)(void* user, mnq_log_level level, const char* message);

/* Sets the process's log callback; NULL (the default) for none. It may still be running in another thread when this
 * returns: keep `user` alive. */
MNQ_CALL mnq_status mnq_set_log_callback(mnq_log_fn callback, void* user, mnq_error** error) MNQ_NOEXCEPT;

/* The number of threads that jobs use where the key `threads` is not set: the number of CPUs this process may use, or
 * what mnq_set_threads said. It covers this library's own work only. */
MNQ_API uint32_t mnq_threads(void) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_set_threads(uint32_t count, mnq_error** error) MNQ_NOEXCEPT; /* 0: the number of CPUs again */

/* For hosts that dlopen: the function table, a static object, or NULL where `version` (MNQ_ABI_VERSION as the host was
 * compiled) asks for another major or a newer minor than this library has. */
MNQ_API const mnq_api* mnq_get_api(uint32_t version) MNQ_NOEXCEPT;

/* ---- Errors and buffers ---------------------------------------------------------------------------------------- */

/* All four accept NULL: MNQ_OK, and "" for the texts. Borrowed from the error. The suggestion is what to do about it,
 * the subject is the file, tensor, layer or key at fault; both may be "". */
MNQ_API mnq_status mnq_error_code(const mnq_error* error) MNQ_NOEXCEPT;
MNQ_API const char* mnq_error_message(const mnq_error* error) MNQ_NOEXCEPT;
MNQ_API const char* mnq_error_suggestion(const mnq_error* error) MNQ_NOEXCEPT;
MNQ_API const char* mnq_error_subject(const mnq_error* error) MNQ_NOEXCEPT;
MNQ_API void mnq_error_free(mnq_error* error) MNQ_NOEXCEPT;

/* The bytes, followed by a NUL that the size does not count, so that text can be used as it is. Borrowed. */
MNQ_API const char* mnq_buffer_data(const mnq_buffer* buffer) MNQ_NOEXCEPT; /* NULL for NULL */
MNQ_API size_t mnq_buffer_size(const mnq_buffer* buffer) MNQ_NOEXCEPT;      /* 0 for NULL */
MNQ_API void mnq_buffer_free(mnq_buffer* buffer) MNQ_NOEXCEPT;

/* ---- Config ---------------------------------------------------------------------------------------------------- *
 *
 * Keys and values, both text; mnq_config_list_keys lists them. Lists are comma-separated; booleans are true or false;
 * sizes take KiB, MiB, GiB, KB, MB and GB. "auto" is a value of every key that has no fixed default: it means unset.
 *
 * Who wins: settings for layers (the last whose glob matches) over settings for all; among each, those of the call (on
 * the mnq_run) over those of the config; then the defaults.
 */

/* Creates a config. json may be NULL (empty) or a JSON object of keys and values, in which "layers" is a list of
 * objects {"name": GLOB, key: value...} in the order in which they apply. An unknown key is an error: CONFIG. */
MNQ_CALL mnq_status mnq_config_create(const char* json, mnq_config** out, mnq_error** error) MNQ_NOEXCEPT;

/* Sets a key for all layers. CONFIG for an unknown key or a value it cannot have, with what would be right.
 * Combinations are checked by mnq_config_validate and when the config is used, not here, so that the order does not
 * matter. */
MNQ_CALL mnq_status mnq_config_set(mnq_config* config, const char* key, const char* value,
                                   mnq_error** error) MNQ_NOEXCEPT;

/* Sets a key for the layers whose name, or whose weight's name, matches glob (*, ?, [a-z]; * crosses dots). */
MNQ_CALL mnq_status mnq_config_set_for_layers(mnq_config* config, const char* glob, const char* key, const char* value,
                                              mnq_error** error) MNQ_NOEXCEPT;

/* The value that holds for a key, as text, and who set it: "default", "config", "config layers", "call" or "call
 * layers" (a static string; source may be NULL). config and run may be NULL; so may layer: for no layer in particular.
 * Keys that follow from others (bits from dtype, symmetric from the scheme) come back resolved. CONFIG for an
 * impossible combination. */
MNQ_CALL mnq_status mnq_config_resolve(const mnq_config* config, const mnq_run* run, const char* layer, const char* key,
                                       mnq_buffer** value, const char** source, mnq_error** error) MNQ_NOEXCEPT;

/* Every key as a JSON list of objects: "key", "type", "default", "per_layer", "help"; "choices" where only these values
 * (of a list: items) will do; "minimum" and "maximum" of numbers. */
MNQ_CALL mnq_status mnq_config_list_keys(mnq_buffer** out, mnq_error** error) MNQ_NOEXCEPT;

/* What was set, as JSON that mnq_config_create reads back. */
MNQ_CALL mnq_status mnq_config_to_json(const mnq_config* config, mnq_buffer** out, mnq_error** error) MNQ_NOEXCEPT;

/* CONFIG for a combination that cannot be (4 bits of quint8, say), with what would be right. */
MNQ_CALL mnq_status mnq_config_validate(const mnq_config* config, mnq_error** error) MNQ_NOEXCEPT;
MNQ_API void mnq_config_free(mnq_config* config) MNQ_NOEXCEPT;

/* ---- Runs ------------------------------------------------------------------------------------------------------ *
 *
 * What belongs to one job: its settings, its progress, its cancel. Wherever a call takes a run it may be NULL. A run
 * can serve several jobs one after the other; once cancelled it stays cancelled. Keys that a job has no use for are
 * warned of, unless the run also served a job that had.
 */

/* Bytes of input done and in all. Called on the thread that made the call, at the start, about ten times a second and
 * at the end. Non-zero cancels the run: the job stops with MNQ_E_CANCELLED. */
typedef int32_t (*mnq_progress_fn)(void* user, uint64_t done_bytes, uint64_t total_bytes);

MNQ_CALL mnq_status mnq_run_create(mnq_run** out, mnq_error** error) MNQ_NOEXCEPT;

/* As mnq_config_set and mnq_config_set_for_layers, for this call; wins over the config. */
MNQ_CALL mnq_status mnq_run_set(mnq_run* run, const char* key, const char* value, mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_run_set_for_layers(mnq_run* run, const char* glob, const char* key, const char* value,
                                           mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_run_set_progress(mnq_run* run, mnq_progress_fn callback, void* user,
                                         mnq_error** error) MNQ_NOEXCEPT;

/* A tensor of a job that writes is done: its index, how many the job has in all, the layer (or the tensor, where it is
 * no layer's weight), "quantize", "cast", "copy" or "dequantize", and the SQNR: NaN where none is measured, +infinity
 * for an exact one. In order, each once, on the thread that made the call and from no other callback; those of a
 * fraction of a second come together. Texts are borrowed for the call. Non-zero cancels the run. */
typedef int32_t (*mnq_observer_fn)(void* user, size_t index, size_t count, const char* layer, const char* action,
                                   double sqnr_db);
MNQ_CALL mnq_status mnq_run_set_observer(mnq_run* run, mnq_observer_fn callback, void* user,
                                         mnq_error** error) MNQ_NOEXCEPT; /* since 1.2 */

/* Who receives the messages of this run's jobs, on the thread that made the call, in place of the process's callback;
 * NULL for that again. Since 1.2. */
MNQ_CALL mnq_status mnq_run_set_log_callback(mnq_run* run, mnq_log_fn callback, void* user,
                                             mnq_error** error) MNQ_NOEXCEPT;

/* Stops the job that uses this run, or the next one that will: it returns MNQ_E_CANCELLED within a fraction of a second
 * and leaves no file behind. Any thread; safe in a signal handler; NULL does nothing. */
MNQ_API void mnq_run_cancel(mnq_run* run) MNQ_NOEXCEPT;

/* 1 once cancelled, else 0. Any thread. */
MNQ_API int32_t mnq_run_is_cancelled(const mnq_run* run) MNQ_NOEXCEPT;

/* Makes a cancelled run one that is not, for its next job; settings and callbacks stay. Not while a job uses it; NULL
 * does nothing. Since 1.2. */
MNQ_API void mnq_run_reset(mnq_run* run) MNQ_NOEXCEPT;

/* Not while a job uses it. */
MNQ_API void mnq_run_free(mnq_run* run) MNQ_NOEXCEPT;

/* ---- Tensors --------------------------------------------------------------------------------------------------- *
 *
 * Row-major and contiguous; immutable once made.
 */

/* Called once when the tensor and all that share its data are gone; from any thread. */
typedef void (*mnq_release_fn)(void* user);

/* A tensor with a copy of data. shape: [rank] sizes, each >= 0; NULL where rank is 0. size_bytes must be what the dtype
 * and the shape demand, else SHAPE. data may be NULL where that is 0. */
MNQ_CALL mnq_status mnq_tensor_create(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data,
                                      size_t size_bytes, mnq_tensor** out, mnq_error** error) MNQ_NOEXCEPT;

/* As mnq_tensor_create without the copy: data stays the caller's, unchanged and alive until release(user) is called
 * (release may be NULL: then until the tensor and every model made from it is freed). On failure release is not called.
 */
MNQ_CALL mnq_status mnq_tensor_wrap(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data,
                                    size_t size_bytes, mnq_release_fn release, void* user, mnq_tensor** out,
                                    mnq_error** error) MNQ_NOEXCEPT;

/* DLPack 1.x, without copies. The structure is that of dlpack.h. From: takes ownership only on success; CPU tensors,
 * row-major and contiguous, else UNSUPPORTED. To: the caller, or who consumes it, calls its deleter; it keeps the data
 * alive on its own and is marked read-only. */
struct DLManagedTensorVersioned;
MNQ_CALL mnq_status mnq_tensor_from_dlpack(struct DLManagedTensorVersioned* managed, mnq_tensor** out,
                                           mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_tensor_to_dlpack(const mnq_tensor* tensor, struct DLManagedTensorVersioned** out,
                                         mnq_error** error) MNQ_NOEXCEPT;

/* As mnq_tensor_from_dlpack, of the structure before DLPack 1.0, which older producers give. Since 1.2. */
struct DLManagedTensor;
MNQ_CALL mnq_status mnq_tensor_from_dlpack_unversioned(struct DLManagedTensor* managed, mnq_tensor** out,
                                                       mnq_error** error) MNQ_NOEXCEPT;

/* All accept NULL: 0 or NULL. Borrowed from the tensor. */
MNQ_API mnq_dtype mnq_tensor_dtype(const mnq_tensor* tensor) MNQ_NOEXCEPT;
MNQ_API size_t mnq_tensor_rank(const mnq_tensor* tensor) MNQ_NOEXCEPT;
MNQ_API const int64_t* mnq_tensor_shape(const mnq_tensor* tensor) MNQ_NOEXCEPT; /* [rank] */
MNQ_API const void* mnq_tensor_data(const mnq_tensor* tensor) MNQ_NOEXCEPT;     /* not NULL unless size_bytes is 0 */
MNQ_API size_t mnq_tensor_size_bytes(const mnq_tensor* tensor) MNQ_NOEXCEPT;
MNQ_API void mnq_tensor_free(mnq_tensor* tensor) MNQ_NOEXCEPT;

/* ---- Models ---------------------------------------------------------------------------------------------------- */

/* The format of a file or folder, from its content, never from its name: "safetensors", "torchscript", "pytorch",
 * "pytorch pickle" (before PyTorch 1.6), "gguf", "safetensors index", "pytorch index", "folder" (of Hugging Face),
 * "compressed-tensors". A static string. NOT_FOUND or IO where it cannot be read; UNSUPPORTED, with what to pass
 * instead, for a known format that is not read; FORMAT for anything else. */
MNQ_CALL mnq_status mnq_detect_format(const char* path, const char** format, mnq_error** error) MNQ_NOEXCEPT;

/* Opens a checkpoint, a folder of one, or a TorchScript module. Nothing that a file holds is ever executed. The header
 * is read and checked, of a module its objects and its code, too; the tensors are read when they are asked for, so the
 * file must stay, and stay as it is, until the model is freed. LibTorch is loaded, and gets a module's file, when the
 * module is first run or made into another module (mnq_model_forward, mnq_quantize, mnq_model_save as a module,
 * mnq_model_validate): UNSUPPORTED, with what to install, where libmono_quant_torch or LibTorch is missing. Layers,
 * tensors and outputs of other formats need neither. */
MNQ_CALL mnq_status mnq_model_open(const char* path, mnq_model** out, mnq_error** error) MNQ_NOEXCEPT;

/* The same with settings; run may be NULL. Keys that apply: tensors_key. Since 1.1. */
MNQ_CALL mnq_status mnq_model_open_with(const char* path, const mnq_run* run, mnq_model** out,
                                        mnq_error** error) MNQ_NOEXCEPT;

/* As mnq_model_open, from memory: data stays the caller's, unchanged and alive until the model and every model or
 * tensor made from it is freed. */
MNQ_CALL mnq_status mnq_model_open_memory(const void* data, size_t size_bytes, mnq_model** out,
                                          mnq_error** error) MNQ_NOEXCEPT;

/* The same, with settings (run may be NULL; keys as mnq_model_open_with), for who cannot know when that is:
 * release(user) is called once nothing uses the data any more; from any thread. On failure it is not called. Since 1.2.
 * */
MNQ_CALL mnq_status mnq_model_wrap_memory(const void* data, size_t size_bytes, mnq_release_fn release, void* user,
                                          const mnq_run* run, mnq_model** out, mnq_error** error) MNQ_NOEXCEPT;

/* Fills into[size] from byte offset on: always inside the size that the reader was made with, and never of 0 bytes. 0,
 * or any other number where it cannot: the call that asked is then IO, naming the number. Called from several threads
 * at once, unless the key `threads` of the run is 1: then from the calling thread and one other, never from both at
 * once. */
typedef int32_t (*mnq_read_fn)(void* user, uint64_t offset, void* into, size_t size);

/* The program's own input: an object in a store, a member of an archive, something encrypted. The bytes stay the same
 * until release(user), which is called once the reader and all models made from it are freed; it may be NULL. On
 * failure it is not called. A reader can be opened any number of times. Since 1.2. */
MNQ_CALL mnq_status mnq_reader_create(uint64_t size_bytes, mnq_read_fn read, mnq_release_fn release, void* user,
                                      mnq_reader** out, mnq_error** error) MNQ_NOEXCEPT;
MNQ_API void mnq_reader_free(mnq_reader* reader) MNQ_NOEXCEPT;

/* As mnq_model_open_with, of one file's bytes in any format. Its tensors are read when they are asked for. Since 1.2.
 * */
MNQ_CALL mnq_status mnq_model_open_reader(const mnq_reader* reader, const mnq_run* run, mnq_model** out,
                                          mnq_error** error) MNQ_NOEXCEPT;

/* A model of named tensors. names and tensors: [count]; names must be different, not empty and not
 * "__metadata__", else INVALID_ARG. The model keeps what it needs: the tensor handles may be freed at once. */
MNQ_CALL mnq_status mnq_model_from_tensors(const char* const* names, const mnq_tensor* const* tensors, size_t count,
                                           mnq_model** out, mnq_error** error) MNQ_NOEXCEPT;

/* A tensor of mnq_model_from_layers, and what is known of the layer that it belongs to. Start from
 * MNQ_LAYER_TENSOR_INIT: a later version may add members at the end, and programs that do not know them go on to work.
 * Since 1.2. */
typedef struct mnq_layer_tensor {
  size_t struct_size;       /* sizeof(mnq_layer_tensor), as the program was compiled; the same in all of an array */
  const char* name;         /* of the tensor: "encoder.0.weight", whose layer is "encoder.0" */
  const mnq_tensor* tensor; /* may be NULL where tied_to is not */
  const char* kind;         /* "Linear", "Conv2d"...; "" where it is no layer's weight; NULL: its name and shape tell */
  int64_t channel_axis;     /* of the weight, counted from 0; -1: the kind's */
  const char* tied_to;      /* the name of another tensor of the array, which this one is; NULL: none */
} mnq_layer_tensor;
#define MNQ_LAYER_TENSOR_INIT \
  { sizeof(mnq_layer_tensor), NULL, NULL, NULL, -1, NULL }

/* A model of tensors whose layers the caller knows: what mnq_model_from_tensors must guess from names and shapes is
 * told here, for models of any names. tensors: [count]; the names as there. The model keeps what it needs: texts and
 * tensor handles may be freed at once, while data that was wrapped stays the caller's as mnq_tensor_wrap says. It is
 * used as any other; models that are made from it in memory keep the kinds, files do not.
 *
 * Kinds are those that the key `layer_types` takes: Linear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d,
 * ConvTranspose3d, Embedding, LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell; Conv1D for transformers' Linear with a weight
 * [in, out]; Experts for the weights of all experts in one tensor [experts, out, in]. A tensor of such a module that is
 * no weight, its bias say, may have the kind, too: it is left as it is. Recurrent kinds are quantized where layer_types
 * or only asks for them.
 *
 * A tensor that is tied is another name of the one it is tied to and quantized with it, once; where one of the two is
 * an Embedding, so is the other. It is no tensor of its own: mnq_layers_tie lists it, and files say it as
 * mnq_model_save does.
 *
 * INVALID_ARG for a kind that is unknown, with those that are known, for an axis outside the shape, for a tie to a name
 * that is not there or is tied itself; SHAPE or DTYPE where a tied tensor is given and differs; ABI where the entries
 * say something that only a newer library knows. Since 1.2. */
MNQ_CALL mnq_status mnq_model_from_layers(const mnq_layer_tensor* tensors, size_t count, mnq_model** out,
                                          mnq_error** error) MNQ_NOEXCEPT;

/* A copy in memory, independent of the file or buffers the model came from. */
MNQ_CALL mnq_status mnq_model_clone(const mnq_model* model, mnq_model** out, mnq_error** error) MNQ_NOEXCEPT;

/* Writes a model to a file or folder, or to memory. The key `format` of the run says how, else the extension:
 * .safetensors; .pt, .pth, .bin (TorchScript for a module, else a state dict for torch.load); .gguf; a path that ends
 * in / is a folder, compressed-tensors unless format says otherwise. In memory a module is TorchScript, all else
 * safetensors. Tied tensors are stored once; safetensors has the other names in its metadata. Keys of the run that
 * apply: format, overwrite, threads, memory_budget, max_shard_size. */
MNQ_CALL mnq_status mnq_model_save(const mnq_model* model, const char* path, mnq_run* run,
                                   mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_model_save_memory(const mnq_model* model, mnq_run* run, mnq_buffer** out,
                                          mnq_error** error) MNQ_NOEXCEPT;

/* Takes data[size] for byte offset on: each byte once, but in any order, and some of them never: those are 0. 0, or any
 * other number where it cannot. Threads: as mnq_read_fn. */
typedef int32_t (*mnq_write_fn)(void* user, uint64_t offset, const void* data, size_t size);

/* The output is whole and has size_bytes: make it real. 0, or any other number where that fails. On the thread that
 * made the call, or one other while that waits. */
typedef int32_t (*mnq_commit_fn)(void* user, uint64_t size_bytes);

/* What was written is to be forgotten: the job failed or was cancelled. Called once instead of commit, or after one
 * that failed, where anything was written. */
typedef void (*mnq_abort_fn)(void* user);

/* The program's own output. commit, abort and release may be NULL; release(user) is called once the writer is freed,
 * and not where this call fails. A writer takes one output at a time, and any number one after the other: STATE while a
 * job writes to it. Since 1.2. */
MNQ_CALL mnq_status mnq_writer_create(mnq_write_fn write, mnq_commit_fn commit, mnq_abort_fn abort,
                                      mnq_release_fn release, void* user, mnq_writer** out,
                                      mnq_error** error) MNQ_NOEXCEPT;
MNQ_API void mnq_writer_free(mnq_writer* writer) MNQ_NOEXCEPT; /* not while a job uses it */

/* As mnq_model_save_memory, to a writer, within memory_budget bytes. Formats: those of one file. Since 1.2. */
MNQ_CALL mnq_status mnq_model_save_to_writer(const mnq_model* model, mnq_writer* writer, mnq_run* run,
                                             mnq_error** error) MNQ_NOEXCEPT;

/* The tensors as they are stored, in the order of their data. The count is 0 for NULL; a name is NULL beyond the count,
 * and borrowed. mnq_model_get_tensor: NOT_FOUND for a name that is none. A tensor of a file is read by that call; one
 * of a model in memory shares its data where it is aligned. */
MNQ_API size_t mnq_model_tensor_count(const mnq_model* model) MNQ_NOEXCEPT;
MNQ_API const char* mnq_model_tensor_name(const mnq_model* model, size_t index) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_model_get_tensor(const mnq_model* model, const char* name, mnq_tensor** out,
                                         mnq_error** error) MNQ_NOEXCEPT;

/* One weight as floats, of the dtype it came from, however it is stored: what mnq_dequantize makes of it alone. name:
 * of the weight, "encoder.0.weight", as mnq_layers_tensor has it, not of one of its parts. One that is not quantized
 * comes as it is. Of the run, which may be NULL: threads, memory_budget, progress, cancel. NOT_FOUND as above. Since
 * 1.2. */
MNQ_CALL mnq_status mnq_model_get_float(const mnq_model* model, const char* name, mnq_run* run, mnq_tensor** out,
                                        mnq_error** error) MNQ_NOEXCEPT;

/* What is in it, as a JSON object: "format", "path", "size_bytes", "parameters", "metadata", "tensors" and, for a
 * quantized one, "quantized". report.md among the installed documents lists the fields. */
MNQ_CALL mnq_status mnq_model_describe(const mnq_model* model, mnq_buffer** out, mnq_error** error) MNQ_NOEXCEPT;

/* The layers whose weights can be quantized, in the order of the model, whatever the config; where config or run is
 * given, also what they would make of each. Both may be NULL. Every tensor that is no such weight is listed too, with
 * its reason. */
MNQ_CALL mnq_status mnq_model_list_layers(const mnq_model* model, const mnq_config* config, const mnq_run* run,
                                          mnq_layers** out, mnq_error** error) MNQ_NOEXCEPT;
MNQ_API size_t mnq_layers_count(const mnq_layers* layers) MNQ_NOEXCEPT; /* 0 for NULL */

/* Of the layer at index; NULL or 0 beyond the count; borrowed.
 * name     "encoder.0.query", dotted
 * tensor   "encoder.0.query.weight"
 * kind     "Linear", "Conv2d"...; "" where it is no layer (a report has NULL)
 * action   "quantize", "cast" or "copy"
 * scheme   "int8 per channel"...; "" where it is copied
 * reason   why
 * shape    [rank]
 * dtype    since 1.1 */
MNQ_API const char* mnq_layers_name(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const char* mnq_layers_tensor(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const char* mnq_layers_kind(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const char* mnq_layers_action(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const char* mnq_layers_scheme(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const char* mnq_layers_reason(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API size_t mnq_layers_rank(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const int64_t* mnq_layers_shape(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API mnq_dtype mnq_layers_dtype(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;

/* Other names of the same weight, where a model ties it: it is quantized once. NULL beyond the count. Since 1.1. */
MNQ_API size_t mnq_layers_tie_count(const mnq_layers* layers, size_t index) MNQ_NOEXCEPT;
MNQ_API const char* mnq_layers_tie(const mnq_layers* layers, size_t index, size_t tie) MNQ_NOEXCEPT;
MNQ_API void mnq_layers_free(mnq_layers* layers) MNQ_NOEXCEPT;
MNQ_API void mnq_model_free(mnq_model* model) MNQ_NOEXCEPT;

/* ---- Running modules: since 1.1 -------------------------------------------------------------------------------- *
 *
 * A model that came from a TorchScript file can be run. What goes in and comes out is flat: a list of values, each with
 * a name. Values of nested tuples, lists and dicts have names joined by dots: "hidden.0", "inputs.mask",
 * "inputs.masks.0". Keys that hold dots themselves can only be told where a dict's values are not nested.
 */
typedef int32_t mnq_value_kind;
enum {
  MNQ_VALUE_NONE = 0,
  MNQ_VALUE_TENSOR = 1,
  MNQ_VALUE_INT = 2,
  MNQ_VALUE_FLOAT = 3,
  MNQ_VALUE_BOOL = 4,
  MNQ_VALUE_TEXT = 5
};

MNQ_CALL mnq_status mnq_values_create(mnq_values** out, mnq_error** error) MNQ_NOEXCEPT;

/* Add a value. name: of the argument it is for, "x", or a part of it, "x.0"; NULL or "" for the next one that no name
 * was given for. Tensors are shared, not copied: the handle may be freed at once, its data must stay unchanged until
 * the values are freed. None is for an argument that is optional, and an empty list or dict for one that is a list or
 * dict. INVALID_ARG for a name that is no UTF-8. */
MNQ_CALL mnq_status mnq_values_add_tensor(mnq_values* values, const char* name, const mnq_tensor* tensor,
                                          mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_add_int(mnq_values* values, const char* name, int64_t value,
                                       mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_add_float(mnq_values* values, const char* name, double value,
                                         mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_add_bool(mnq_values* values, const char* name, int32_t value,
                                        mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_add_text(mnq_values* values, const char* name, const char* text,
                                        mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_add_none(mnq_values* values, const char* name, mnq_error** error) MNQ_NOEXCEPT;

/* The count is 0 for NULL; a name is NULL beyond the count, and borrowed. */
MNQ_API size_t mnq_values_count(const mnq_values* values) MNQ_NOEXCEPT;
MNQ_API const char* mnq_values_name(const mnq_values* values, size_t index) MNQ_NOEXCEPT;
MNQ_API mnq_value_kind mnq_values_kind(const mnq_values* values, size_t index) MNQ_NOEXCEPT; /* NONE beyond the count */

/* The value at index. NOT_FOUND beyond the count; DTYPE where it is of another kind. A tensor shares its data. An int
 * is also given for a bool, a float also for an int. The text is borrowed; NULL where it is none. */
MNQ_CALL mnq_status mnq_values_get_tensor(const mnq_values* values, size_t index, mnq_tensor** out,
                                          mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_get_int(const mnq_values* values, size_t index, int64_t* value,
                                       mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_values_get_float(const mnq_values* values, size_t index, double* value,
                                         mnq_error** error) MNQ_NOEXCEPT;
MNQ_API const char* mnq_values_get_text(const mnq_values* values, size_t index) MNQ_NOEXCEPT;
MNQ_API void mnq_values_free(mnq_values* values) MNQ_NOEXCEPT;

/* Runs a method of a module; NULL for "forward". inputs may be NULL: none. Any number of threads may do so at once. The
 * module itself never changes: what its code writes to its state stays in a private copy, which all calls on this model
 * share, one after the other, whatever their `activations`; models made from this one begin without it,
 * mnq_model_clone's too. "forward" runs with the module's hooks around it, as in PyTorch. Of the run, which may be
 * NULL, one key applies: activations. "dynamic", the default, gives Linear layers and 1 x 1 convolutions of int8 and
 * int4 integer arithmetic, their input quantized a row at a time, and other convolutions of symmetric int8 and a
 * million products and more, their input quantized an example at a time, on CPUs with AVX-VNNI, AVX-512 VNNI or AMX,
 * where oneDNN's sums are exact; "float" runs what the file holds. Outputs are named by their place: "0" for a single
 * one, "0", "1", "1.hidden" in tuples, lists and dicts. Their tensors are the module's own results, copied only where
 * they are not contiguous or the module or an input has them, too. UNSUPPORTED for a model that is no module; NOT_FOUND
 * for a method that is none; INVALID_ARG for inputs that do not fit it, naming the argument; TORCH with TorchScript's
 * message where running it fails. */
MNQ_CALL mnq_status mnq_model_forward(const mnq_model* model, const char* method, const mnq_values* inputs,
                                      const mnq_run* run, mnq_values** outputs, mnq_error** error) MNQ_NOEXCEPT;

/* As mnq_validate_file, of a model, and a module is used: that it can be saved and loaded again, that what was loaded
 * runs `forward` on inputs and gives what the model gives, and that outputs are finite; where original is not NULL also
 * the SQNR of the float outputs against the original's ("output_sqnr_db" among the report's numbers); others that
 * differ are warnings. Each run begins anew, and leaves the models' states as they are. inputs may be NULL: then it is
 * not run; for a model that is no module they must be, else UNSUPPORTED. What it finds is in the report ("valid",
 * "problems"), not in the status. Run: as mnq_model_forward. */
MNQ_CALL mnq_status mnq_model_validate(const mnq_model* model, const mnq_model* original, const mnq_values* inputs,
                                       mnq_run* run, mnq_report** report, mnq_error** error) MNQ_NOEXCEPT;

/* ---- Quantize and dequantize ----------------------------------------------------------------------------------- *
 *
 * config and run may be NULL in all of them, and report may be where there is another output (a model or a file): it is
 * then not made. VALIDATION for a weight that is
 * not finite (unless nonfinite=copy) and where accuracy_warning=error and a layer falls below its threshold; the error
 * names the tensor and the position.
 */

/* Quantizes a model into a new one in memory; a module into a module, whose code calls stock operators only, so that
 * any LibTorch and PyTorch runs it. */
MNQ_CALL mnq_status mnq_quantize(const mnq_model* model, const mnq_config* config, mnq_run* run, mnq_model** out,
                                 mnq_report** report, mnq_error** error) MNQ_NOEXCEPT;

/* Quantizes a file, a folder or an open model to a file or folder, within memory_budget bytes whatever its size. What
 * is written follows from `format` or the output's name, as in mnq_model_save. A file appears whole or not at all, and
 * so does a folder; `resume` and `shard` let a folder's job end early or be split: see mnq_merge_folder. */
MNQ_CALL mnq_status mnq_quantize_file(const char* input_path, const char* output_path, const mnq_config* config,
                                      mnq_run* run, mnq_report** report, mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_quantize_to_file(const mnq_model* model, const char* output_path, const mnq_config* config,
                                         mnq_run* run, mnq_report** report, mnq_error** error) MNQ_NOEXCEPT;

/* The same from an open model to the program's own output: of the format that the key `format` names, else safetensors,
 * or TorchScript for a module. Since 1.2. */
MNQ_CALL mnq_status mnq_quantize_to_writer(const mnq_model* model, mnq_writer* writer, const mnq_config* config,
                                           mnq_run* run, mnq_report** report, mnq_error** error) MNQ_NOEXCEPT;

/* What mnq_quantize would do, or, where `format` is set, mnq_quantize_file into a file or folder of that format: the
 * same report without reading a weight, so without accuracy ("dry_run": true). Where `format` names one but that of
 * modules, the number "file_bytes" is the size of the file, or of the weights' files of a folder, headers included, to
 * the byte. */
MNQ_CALL mnq_status mnq_plan(const mnq_model* model, const mnq_config* config, const mnq_run* run, mnq_report** report,
                             mnq_error** error) MNQ_NOEXCEPT;

/* Turns quantized tensors back into floats of the dtype they came from; all others are copied. */
MNQ_CALL mnq_status mnq_dequantize(const mnq_model* model, mnq_run* run, mnq_model** out, mnq_report** report,
                                   mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_dequantize_file(const char* input_path, const char* output_path, mnq_run* run,
                                        mnq_report** report, mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_dequantize_to_writer(const mnq_model* model, mnq_writer* writer, mnq_run* run,
                                             mnq_report** report, mnq_error** error) MNQ_NOEXCEPT; /* since 1.2 */

/* Writes a checkpoint in another format. Quantized weights keep their codes and scales where that format can hold them;
 * else they are quantized anew or become floats, and the report says so of each. Keys of the run: as mnq_model_save.
 * Since 1.1. */
MNQ_CALL mnq_status mnq_convert_file(const char* input_path, const char* output_path, mnq_run* run, mnq_report** report,
                                     mnq_error** error) MNQ_NOEXCEPT;

/* Puts together a folder whose parts were made with the key `shard`, by any number of runs: checks that all shards are
 * there, writes index and config, and gives the folder its name. Keys of the run: overwrite. NOT_FOUND where no part is
 * there; STATE naming a shard that is missing; FORMAT for one of another job. Since 1.1. */
MNQ_CALL mnq_status mnq_merge_folder(const char* output_path, mnq_run* run, mnq_error** error) MNQ_NOEXCEPT;

/* ---- One tensor: since 1.2 ------------------------------------------------------------------------------------- */

/* Quantizes one tensor of any float dtype by itself, as a layer of a model would be: any scheme, any number of threads.
 * name    of the tensor, for settings of layers and for messages; NULL: "weight"
 * kind    of its layer: as in mnq_layer_tensor; NULL: Linear, or what its rank says
 * parts   a new list: the tensors that a file would have, named name, name + "_scale"..., codes first; then a text
 *         "mono_quant" that says what they are to mnq_tensor_dequantize. A cast has one tensor and no text.
 * What settings leave as it is, and why, is CONFIG here: nothing was asked for that could be given. Else as
 * mnq_quantize. */
MNQ_CALL mnq_status mnq_tensor_quantize(const mnq_tensor* tensor, const char* name, const char* kind,
                                        const mnq_config* config, mnq_run* run, mnq_values** parts, mnq_report** report,
                                        mnq_error** error) MNQ_NOEXCEPT;

/* The tensor that such parts hold, in the dtype it came from. The parts may be in any order. FORMAT where they do not
 * fit together, INVALID_ARG where they are not of one weight. Of the run, which may be NULL: threads, progress, cancel.
 * */
MNQ_CALL mnq_status mnq_tensor_dequantize(const mnq_values* parts, mnq_run* run, mnq_tensor** out,
                                          mnq_error** error) MNQ_NOEXCEPT;

/* ---- Compare and validate -------------------------------------------------------------------------------------- */

/* The accuracy of each tensor of `other` against the one of the same name in `reference`; either may be quantized.
 * Tensors that only one has, or whose shapes differ, are listed with the reason. */
MNQ_CALL mnq_status mnq_compare(const mnq_model* reference, const mnq_model* other, mnq_run* run, mnq_report** report,
                                mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_compare_file(const char* reference_path, const char* other_path, mnq_run* run,
                                     mnq_report** report, mnq_error** error) MNQ_NOEXCEPT; /* since 1.2 */

/* Checks a file: finite values, scales that are there, finite and positive, shapes that fit; where original_path is not
 * NULL also that every tensor of the original is there in its shape and none besides, and that its values are what
 * became of the original's: none below sqnr_critical_db unless quantizing that very weight costs so much; a module is
 * also saved and loaded again where LibTorch is there (mnq_model_validate runs it, too). What it finds is in the report
 * ("valid", "problems"), not in the status; the status says whether the files could be opened. tensors_key is for
 * whichever of the two has dicts to choose from. */
MNQ_CALL mnq_status mnq_validate_file(const char* path, const char* original_path, mnq_run* run, mnq_report** report,
                                      mnq_error** error) MNQ_NOEXCEPT;

/* ---- Reports --------------------------------------------------------------------------------------------------- */

/* The whole report as JSON, made when it is first asked for; borrowed; "" for NULL, and where memory does not suffice.
 * Among its fields: "kind", "input", "output", "model" (an object of numbers: see below), "layers" (a list: "name",
 * "tensor", "kind", "action", "scheme", "reason", "bytes_before", "bytes_after", "sqnr_db"...), "warnings" (what may be
 * wrong) and "remarks" (what is worth knowing). report.md among the installed documents lists them all. */
MNQ_API const char* mnq_report_json(const mnq_report* report) MNQ_NOEXCEPT;

/* One number of the whole model: "sqnr_db", "max_error", "bytes_before", "bytes_after", "compression_ratio", "seconds",
 * "layers_quantized"... NOT_FOUND for a name that is none or has no value here. An exact result has the sqnr_db
 * +infinity. */
MNQ_CALL mnq_status mnq_report_number(const mnq_report* report, const char* name, double* value,
                                      mnq_error** error) MNQ_NOEXCEPT;

/* The tensors of the report, in the order of the model: every tensor of the input is one of them. */
MNQ_API size_t mnq_report_layer_count(const mnq_report* report) MNQ_NOEXCEPT; /* 0 for NULL */

/* One text of a layer: "name", "tensor", "kind", "dtype", "scheme", "action", "reason"; NULL where there is none.
 * Borrowed. */
MNQ_API const char* mnq_report_layer_text(const mnq_report* report, size_t index, const char* name) MNQ_NOEXCEPT;

/* One number of a layer: "sqnr_db", "max_error", "bytes_before", "bytes_after", "parameters", "bits", "group_size" and
 * others. */
MNQ_CALL mnq_status mnq_report_layer_number(const mnq_report* report, size_t index, const char* name, double* value,
                                            mnq_error** error) MNQ_NOEXCEPT;

/* What may be wrong, and of mnq_validate_file and mnq_model_validate what is. The counts are 0 for NULL; a text is NULL
 * beyond the count, and borrowed. */
MNQ_API size_t mnq_report_warning_count(const mnq_report* report) MNQ_NOEXCEPT;
MNQ_API const char* mnq_report_warning(const mnq_report* report, size_t index) MNQ_NOEXCEPT;
MNQ_API size_t mnq_report_problem_count(const mnq_report* report) MNQ_NOEXCEPT;
MNQ_API const char* mnq_report_problem(const mnq_report* report, size_t index) MNQ_NOEXCEPT;
MNQ_API void mnq_report_free(mnq_report* report) MNQ_NOEXCEPT;

/* ---- Linear layers and embeddings: since 1.2 ------------------------------------------------------------------- *
 *
 * A Linear layer whose weights are packed once and multiplied in integers, without a module and without LibTorch: for
 * any program that runs a model by itself. Each row of activations is quantized to int8 in the call, with a scale and,
 * unless symmetric_activations is true, a zero point of its own. The same row gives the same bits on every CPU, in any
 * number of threads, alone or among others. A row that holds NaN or infinity has NaN, of either sign, for all its
 * outputs. Buffers of rows, outputs and indices are aligned for their elements.
 *
 * Weights are integers of 8 or 4 bits, a scale for each row or each group of a multiple of 32 elements. Keys of config
 * and run that apply, both of which may be NULL: threads, symmetric_activations and, where floats are quantized, what
 * quantizing takes. Of a run nothing but its settings applies. A layer is immutable, and independent of what it was
 * made from. On CPUs with AMX the first layer asks Linux for its registers, unless MNQ_ISA is set: from then on
 * sigaltstack refuses stacks below some 12 KB.
 */

/* The layer "encoder.0.query" of a model, or the one whose weight has that name: Linear, or a convolution of 1 x 1,
 * with the bias that lies beside its weight. A quantized weight is packed with the codes that it has, a float one is
 * quantized as the settings say of it, but that `only` and `skip` do not count. NOT_FOUND for a layer that is none;
 * UNSUPPORTED for a weight that is no matrix [out, in], that is not made of integers, or that stays as it is, with the
 * reason; DTYPE for one of other integers than codes; VALIDATION for one that is not finite. */
MNQ_CALL mnq_status mnq_linear_create(const mnq_model* model, const char* layer, const mnq_config* config,
                                      const mnq_run* run, mnq_linear** out, mnq_error** error) MNQ_NOEXCEPT;

/* A layer of floats, quantized as the settings say of "linear".
 * weight  [out, in], F32, BF16, F16 or F64, else DTYPE; neither may be 0, else UNSUPPORTED
 * bias    [out], of any of these, else SHAPE; may be NULL: none */
MNQ_CALL mnq_status mnq_linear_from_floats(const mnq_tensor* weight, const mnq_tensor* bias, const mnq_config* config,
                                           const mnq_run* run, mnq_linear** out, mnq_error** error) MNQ_NOEXCEPT;

/* A layer of codes, as mnq_kernel_quantize gives them. All are copied.
 * codes        [output_count, row_length], one a byte; of 4 bits -8..7, else INVALID_ARG
 * bits         8 or 4
 * group_size   elements that share a scale, a multiple of 32, else UNSUPPORTED; 0: whole rows
 * scales       [output_count, groups], finite, else INVALID_ARG; of any sign
 * zero_points  [output_count, groups], within the codes, else INVALID_ARG; may be NULL: all zero
 * bias         [output_count]; may be NULL: none */
MNQ_CALL mnq_status mnq_linear_from_codes(const int8_t* codes, size_t output_count, size_t row_length, int32_t bits,
                                          size_t group_size, const float* scales, const int8_t* zero_points,
                                          const float* bias, const mnq_config* config, const mnq_run* run,
                                          mnq_linear** out, mnq_error** error) MNQ_NOEXCEPT;

/* Bytes that mnq_linear_run needs for so many rows with all its threads. SHAPE where that is no number. */
MNQ_CALL mnq_status mnq_linear_scratch_size(const mnq_linear* linear, size_t row_count, size_t* size_bytes,
                                            mnq_error** error) MNQ_NOEXCEPT;

/* Multiplies rows.
 * rows     [row_count, in]
 * dtype    of rows, F32 or BF16, else DTYPE; out_dtype likewise
 * out      [row_count, out], written; must not overlap rows
 * scratch  at any address, of one call at a time; NULL: the call allocates it. With fewer bytes than
 *          mnq_linear_scratch_size says fewer threads work; BUFFER_TOO_SMALL where they do not suffice for one
 * With one thread and scratch nothing is allocated. */
MNQ_CALL mnq_status mnq_linear_run(const mnq_linear* linear, const void* rows, size_t row_count, mnq_dtype dtype,
                                   void* out, mnq_dtype out_dtype, void* scratch, size_t scratch_bytes,
                                   mnq_error** error) MNQ_NOEXCEPT;

/* The same with tensors: rows [.., in], out [.., out], fresh. SHAPE where the last axis is another one. */
MNQ_CALL mnq_status mnq_linear_run_tensor(const mnq_linear* linear, const mnq_tensor* rows, mnq_dtype out_dtype,
                                          mnq_tensor** out, mnq_error** error) MNQ_NOEXCEPT;

/* What it is, as a JSON object: "name", "scheme", "output_count", "row_length", "group_size" (0: whole rows),
 * "has_zero_points", "has_bias", "symmetric_activations", "size_bytes" (packed), "threads", "isa" (that multiplies). */
MNQ_CALL mnq_status mnq_linear_describe(const mnq_linear* linear, mnq_buffer** out, mnq_error** error) MNQ_NOEXCEPT;
MNQ_API void mnq_linear_free(mnq_linear* linear) MNQ_NOEXCEPT;

/* The table of a layer of any model, quantized in whatever way or not at all: a matrix, else UNSUPPORTED. It keeps what
 * it needs: the model may be freed at once; a file is read when rows are. NOT_FOUND for a layer that is none. */
MNQ_CALL mnq_status mnq_embedding_create(const mnq_model* model, const char* layer, mnq_embedding** out,
                                         mnq_error** error) MNQ_NOEXCEPT;

/* Gathers rows as floats.
 * indices    [count], each in [0, rows), else INVALID_ARG; outputs are then unspecified
 * out        [count, row length], written
 * out_dtype  F32, BF16, F16 or F64, else DTYPE */
MNQ_CALL mnq_status mnq_embedding_run(const mnq_embedding* embedding, const int64_t* indices, size_t count, void* out,
                                      mnq_dtype out_dtype, mnq_error** error) MNQ_NOEXCEPT;

/* The same with tensors: indices of any shape, I64 or I32, else DTYPE; out has one axis more, and is fresh. */
MNQ_CALL mnq_status mnq_embedding_run_tensor(const mnq_embedding* embedding, const mnq_tensor* indices,
                                             mnq_dtype out_dtype, mnq_tensor** out, mnq_error** error) MNQ_NOEXCEPT;

/* What it is, as a JSON object: "name", "scheme", "row_count", "row_length". */
MNQ_CALL mnq_status mnq_embedding_describe(const mnq_embedding* embedding, mnq_buffer** out,
                                           mnq_error** error) MNQ_NOEXCEPT;
MNQ_API void mnq_embedding_free(mnq_embedding* embedding) MNQ_NOEXCEPT;

/* ---- Kernels on raw buffers ------------------------------------------------------------------------------------ *
 *
 * One thread, the fastest instruction set of this CPU, the caller's own memory, no allocation. Arrays may be NULL only
 * where their length is 0 or it is said. group_size 0: one scale a row. groups = ceil(row_length / group_size). SHAPE
 * where a product overflows.
 */

/* minimum, maximum: [row_count], written; 0 where row_length is 0. A weight that is not finite: VALIDATION with row and
 * column, outputs unspecified. */
MNQ_CALL mnq_status mnq_kernel_ranges(const float* weights, size_t row_count, size_t row_length, float* minimum,
                                      float* maximum, mnq_error** error) MNQ_NOEXCEPT;

/* Quantizes rows to codes, one a byte.
 * weights      [row_count, row_length], finite: else VALIDATION with row and column, outputs unspecified
 * bits         8 (codes -128..127) or 4 (-8..7); symmetric: 0 or 1
 * scales       [row_count, groups], written; finite and > 0
 * zero_points  [row_count, groups], written; may be NULL where symmetric
 * codes        [row_count, row_length], written
 * sqnr_db      one number for all, written; may be NULL */
MNQ_CALL mnq_status mnq_kernel_quantize(const float* weights, size_t row_count, size_t row_length, int32_t bits,
                                        int32_t symmetric, size_t group_size, float* scales, int8_t* zero_points,
                                        int8_t* codes, double* sqnr_db, mnq_error** error) MNQ_NOEXCEPT;

/* weights [row_count, row_length], written: (code - zero_point) * scale, with codes, scales and zero_points as
 * mnq_kernel_quantize gives them; zero_points may be NULL: all zero. */
MNQ_CALL mnq_status mnq_kernel_dequantize(const int8_t* codes, size_t row_count, size_t row_length, size_t group_size,
                                          const float* scales, const int8_t* zero_points, float* weights,
                                          mnq_error** error) MNQ_NOEXCEPT;

/* codes [count] in -8..7, else INVALID_ARG; packed [(count + 1) / 2] bytes: two codes each, low nibble first, stored as
 * code + 8. The high nibble of the last byte of an odd count is written 0, and not read. */
MNQ_CALL mnq_status mnq_kernel_pack_int4(const int8_t* codes, size_t count, uint8_t* packed,
                                         mnq_error** error) MNQ_NOEXCEPT;
MNQ_CALL mnq_status mnq_kernel_unpack_int4(const uint8_t* packed, size_t count, int8_t* codes,
                                           mnq_error** error) MNQ_NOEXCEPT;

/* 10 log10(sum of reference^2 / sum of (reference - other)^2); +infinity where they are equal. VALIDATION for a value
 * that is not finite. */
MNQ_CALL mnq_status mnq_kernel_sqnr(const float* reference, const float* other, size_t count, double* sqnr_db,
                                    mnq_error** error) MNQ_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#include "mono_quant_api.h" /* struct mnq_api, the function table */

#endif /* MONO_QUANT_H */
