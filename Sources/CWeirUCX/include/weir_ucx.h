// UCX behind a handful of C functions without UCX types: one context, one worker, one thread.
//
// The library is loaded when the first worker is opened, not when the program starts: its constructors install signal
// handlers and patch mmap in every process that links it, before main. Loaded late, it is told not to. A machine
// without UCX gets an error then, and a machine without its headers builds all the same.
#ifndef WEIR_UCX_H
#define WEIR_UCX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A worker with its context. Used by one thread at a time.
typedef struct weir_ucx weir_ucx;
/// A peer as this worker reaches it.
typedef struct weir_ucx_endpoint weir_ucx_endpoint;
/// Registered memory.
typedef struct weir_ucx_region weir_ucx_region;
/// The right to use a peer's region.
typedef struct weir_ucx_key weir_ucx_key;

/// Calls in flight that belong together. The caller keeps it where it is until `pending` is 0.
typedef struct weir_ucx_counter {
  int64_t pending;
  int32_t status;  // 0, or the first error
} weir_ucx_counter;

/// Opens a worker over the named transports ("posix,sysv,cma", "tcp").
/// `peer_errors`: a dead peer ends its calls with an error. Excludes shared memory.
/// Returns NULL and a reason if that is impossible.
weir_ucx *weir_ucx_open(const char *transports, bool peer_errors, char *reason, size_t reason_bytes);
void weir_ucx_close(weir_ucx *worker);

/// What another worker needs to reach this one.
const uint8_t *weir_ucx_address(const weir_ucx *worker, size_t *bytes);
/// A descriptor that becomes readable when an armed worker has something to do.
int weir_ucx_event_descriptor(const weir_ucx *worker);
/// True: wait on the descriptor; false: there is something to do already.
bool weir_ucx_arm(weir_ucx *worker);
/// Makes progress; returns 0 if there was nothing to do.
unsigned weir_ucx_progress(weir_ucx *worker);

weir_ucx_region *weir_ucx_register(weir_ucx *worker, void *address, size_t bytes, int32_t *status);
void weir_ucx_deregister(weir_ucx *worker, weir_ucx_region *region);
/// The key of a region as bytes for a peer; belongs to the region.
const uint8_t *weir_ucx_region_key(const weir_ucx_region *region, size_t *bytes);

weir_ucx_endpoint *weir_ucx_connect(
    weir_ucx *worker, const uint8_t *address, bool peer_errors, int32_t *status);
/// Closes an endpoint. `force`: at once, its calls end with an error; only with `peer_errors`. Otherwise when its calls
/// are over, which they never are to a dead process. UCX 1.13 aborts the program if an endpoint is closed before both
/// sides have finished connecting (`weir_ucx_flush` has ended on both).
void weir_ucx_disconnect(weir_ucx_endpoint *endpoint, bool force, weir_ucx_counter *counter);
/// The error that ended the endpoint, 0 if it works.
int32_t weir_ucx_endpoint_status(const weir_ucx_endpoint *endpoint);
/// Frees what `weir_ucx_connect` returned, after the disconnect has ended.
void weir_ucx_free_endpoint(weir_ucx_endpoint *endpoint);
weir_ucx_key *weir_ucx_open_key(weir_ucx_endpoint *endpoint, const uint8_t *key, int32_t *status);
void weir_ucx_close_key(weir_ucx_key *key);

/// Start one call each; `counter` counts it until it ends. Return a status: 0 if the call was taken.
int32_t weir_ucx_put(
    weir_ucx_endpoint *endpoint, weir_ucx_key *key, const weir_ucx_region *region, const void *from, size_t bytes,
    uint64_t to, weir_ucx_counter *counter);
int32_t weir_ucx_get(
    weir_ucx_endpoint *endpoint, weir_ucx_key *key, const weir_ucx_region *region, void *to, size_t bytes,
    uint64_t from, weir_ucx_counter *counter);
/// Ends when everything put before is visible to the peer.
int32_t weir_ucx_flush(weir_ucx_endpoint *endpoint, weir_ucx_counter *counter);

/// A status in words.
const char *weir_ucx_text(int32_t status);

#endif
