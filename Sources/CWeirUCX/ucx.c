// See weir_ucx.h.
#include "weir_ucx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<ucp/api/ucp.h>)
#define WEIR_HAS_UCX 1
#endif
#endif

#ifdef WEIR_HAS_UCX
#include <dlfcn.h>
#include <pthread.h>
#include <ucp/api/ucp.h>

// Every function that is used, by the signature of its declaration.
#define WEIR_UCP_FUNCTIONS(X)                                                                                          \
  X(ucp_config_read) X(ucp_config_modify) X(ucp_config_release) X(ucp_init_version) X(ucp_cleanup)                     \
  X(ucp_worker_create) X(ucp_worker_destroy) X(ucp_worker_get_address) X(ucp_worker_release_address)                   \
  X(ucp_worker_get_efd) X(ucp_worker_arm) X(ucp_worker_progress) X(ucp_mem_map) X(ucp_mem_unmap) X(ucp_rkey_pack)      \
  X(ucp_rkey_buffer_release) X(ucp_ep_create) X(ucp_ep_close_nbx) X(ucp_ep_rkey_unpack) X(ucp_rkey_destroy)            \
  X(ucp_put_nbx) X(ucp_get_nbx) X(ucp_ep_flush_nbx) X(ucp_request_free)

static struct {
#define X(name) __typeof__(&name) name;
  WEIR_UCP_FUNCTIONS(X)
#undef X
  const char *(*ucs_status_string)(ucs_status_t);
} ucp;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char load_error[256];

static void load(void) {
  // What the user chose stays. Handlers: Swift prints better backtraces. Memory events: with them libucm replaces mmap
  // and mremap in the process, and mapping memory at a fixed address silently goes elsewhere.
  setenv("UCX_HANDLE_ERRORS", "none", 0);
  setenv("UCX_MEM_EVENTS", "n", 0);
  setenv("UCX_WARN_UNUSED_ENV_VARS", "n", 0);
  // The address of a moved-away peer is no reason to write to standard output.
  setenv("UCX_LOG_LEVEL", "fatal", 0);
  void *library = dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL);
  void *services = dlopen("libucs.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library || !services) {
    snprintf(load_error, sizeof load_error, "libucp.so.0 cannot be loaded (Debian: libucx0): %s", dlerror());
    return;
  }
#define X(name)                                                                                                        \
  ucp.name = (__typeof__(&name))dlsym(library, #name);                                                                 \
  if (!ucp.name) snprintf(load_error, sizeof load_error, "libucp.so.0 has no %s", #name);
  WEIR_UCP_FUNCTIONS(X)
#undef X
  ucp.ucs_status_string = (const char *(*)(ucs_status_t))dlsym(services, "ucs_status_string");
  if (!ucp.ucs_status_string) snprintf(load_error, sizeof load_error, "libucs.so.0 has no ucs_status_string");
}

struct weir_ucx {
  ucp_context_h context;
  ucp_worker_h worker;
  ucp_address_t *address;
  size_t address_bytes;
  int descriptor;
};

struct weir_ucx_endpoint {
  weir_ucx *owner;
  ucp_ep_h endpoint;
  int32_t status;
};

struct weir_ucx_region {
  ucp_mem_h memory;
  void *key;
  size_t key_bytes;
};

static weir_ucx *failed(weir_ucx *w, const char *what, ucs_status_t status, char *reason, size_t bytes) {
  snprintf(reason, bytes, "%s: %s", what, ucp.ucs_status_string(status));
  weir_ucx_close(w);
  return NULL;
}

weir_ucx *weir_ucx_open(const char *transports, bool peer_errors, char *reason, size_t reason_bytes) {
  pthread_once(&once, load);
  if (load_error[0]) {
    snprintf(reason, reason_bytes, "%s", load_error);
    return NULL;
  }
  weir_ucx *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  ucp_config_t *config = NULL;
  ucs_status_t status = ucp.ucp_config_read(NULL, NULL, &config);
  if (status != UCS_OK) return failed(w, "UCX cannot read its configuration", status, reason, reason_bytes);
  status = ucp.ucp_config_modify(config, "TLS", transports);
  // Without it one-sided calls onto memory that UCX did not allocate are copied by both processors.
  if (status == UCS_OK && !peer_errors) status = ucp.ucp_config_modify(config, "PROTO_ENABLE", "y");
  ucp_params_t params = {
      .field_mask = UCP_PARAM_FIELD_FEATURES, .features = UCP_FEATURE_RMA | UCP_FEATURE_AM | UCP_FEATURE_WAKEUP};
  if (status == UCS_OK) status = ucp.ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &w->context);
  ucp.ucp_config_release(config);
  if (status != UCS_OK) return failed(w, "UCX cannot start", status, reason, reason_bytes);
  ucp_worker_params_t worker = {
      .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE, .thread_mode = UCS_THREAD_MODE_SERIALIZED};
  status = ucp.ucp_worker_create(w->context, &worker, &w->worker);
  if (status == UCS_OK) status = ucp.ucp_worker_get_address(w->worker, &w->address, &w->address_bytes);
  if (status == UCS_OK) status = ucp.ucp_worker_get_efd(w->worker, &w->descriptor);
  if (status != UCS_OK) return failed(w, "UCX cannot open a worker", status, reason, reason_bytes);
  return w;
}

void weir_ucx_close(weir_ucx *w) {
  if (!w) return;
  if (w->address) ucp.ucp_worker_release_address(w->worker, w->address);
  if (w->worker) ucp.ucp_worker_destroy(w->worker);
  if (w->context) ucp.ucp_cleanup(w->context);
  free(w);
}

const uint8_t *weir_ucx_address(const weir_ucx *w, size_t *bytes) {
  *bytes = w->address_bytes;
  return (const uint8_t *)w->address;
}

int weir_ucx_event_descriptor(const weir_ucx *w) { return w->descriptor; }
bool weir_ucx_arm(weir_ucx *w) { return ucp.ucp_worker_arm(w->worker) == UCS_OK; }
unsigned weir_ucx_progress(weir_ucx *w) { return ucp.ucp_worker_progress(w->worker); }

weir_ucx_region *weir_ucx_register(weir_ucx *w, void *address, size_t bytes, int32_t *status) {
  weir_ucx_region *region = calloc(1, sizeof *region);
  if (!region) return NULL;
  ucp_mem_map_params_t params = {
      .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH, .address = address,
      .length = bytes};
  *status = ucp.ucp_mem_map(w->context, &params, &region->memory);
  if (*status == UCS_OK) *status = ucp.ucp_rkey_pack(w->context, region->memory, &region->key, &region->key_bytes);
  if (*status == UCS_OK) return region;
  if (region->memory) ucp.ucp_mem_unmap(w->context, region->memory);
  free(region);
  return NULL;
}

void weir_ucx_deregister(weir_ucx *w, weir_ucx_region *region) {
  ucp.ucp_rkey_buffer_release(region->key);
  ucp.ucp_mem_unmap(w->context, region->memory);
  free(region);
}

const uint8_t *weir_ucx_region_key(const weir_ucx_region *region, size_t *bytes) {
  *bytes = region->key_bytes;
  return region->key;
}

static void endpoint_failed(void *argument, ucp_ep_h endpoint, ucs_status_t status) {
  (void)endpoint;
  ((weir_ucx_endpoint *)argument)->status = status;
}

weir_ucx_endpoint *weir_ucx_connect(weir_ucx *w, const uint8_t *address, bool peer_errors, int32_t *status) {
  weir_ucx_endpoint *e = calloc(1, sizeof *e);
  if (!e) return NULL;
  e->owner = w;
  ucp_ep_params_t params = {
      .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                    UCP_EP_PARAM_FIELD_ERR_HANDLER,
      .address = (const ucp_address_t *)address,
      .err_mode = peer_errors ? UCP_ERR_HANDLING_MODE_PEER : UCP_ERR_HANDLING_MODE_NONE,
      .err_handler = {.cb = endpoint_failed, .arg = e}};
  *status = ucp.ucp_ep_create(w->worker, &params, &e->endpoint);
  if (*status == UCS_OK) return e;
  free(e);
  return NULL;
}

static void ended(void *request, ucs_status_t status, void *user_data) {
  weir_ucx_counter *counter = user_data;
  if (status != UCS_OK && counter->status == 0) counter->status = status;
  counter->pending--;
  if (request) ucp.ucp_request_free(request);
}

// What a call returned: NULL is done, an error is an error, anything else ends with the callback.
static int32_t taken(ucs_status_ptr_t result, weir_ucx_counter *counter) {
  if (UCS_PTR_IS_ERR(result)) {
    if (counter->status == 0) counter->status = UCS_PTR_STATUS(result);
    return UCS_PTR_STATUS(result);
  }
  if (result) counter->pending++;
  return 0;
}

static ucp_request_param_t counted(weir_ucx_counter *counter) {
  ucp_request_param_t param = {
      .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA, .cb.send = ended,
      .user_data = counter};
  return param;
}

void weir_ucx_disconnect(weir_ucx_endpoint *e, bool force, weir_ucx_counter *counter) {
  ucp_request_param_t param = counted(counter);
  param.op_attr_mask |= UCP_OP_ATTR_FIELD_FLAGS;
  param.flags = force ? UCP_EP_CLOSE_FLAG_FORCE : 0;
  taken(ucp.ucp_ep_close_nbx(e->endpoint, &param), counter);
}

int32_t weir_ucx_endpoint_status(const weir_ucx_endpoint *e) { return e->status; }
void weir_ucx_free_endpoint(weir_ucx_endpoint *e) { free(e); }

weir_ucx_key *weir_ucx_open_key(weir_ucx_endpoint *e, const uint8_t *key, int32_t *status) {
  ucp_rkey_h opened = NULL;
  *status = ucp.ucp_ep_rkey_unpack(e->endpoint, key, &opened);
  return *status == UCS_OK ? (weir_ucx_key *)opened : NULL;
}

void weir_ucx_close_key(weir_ucx_key *key) { ucp.ucp_rkey_destroy((ucp_rkey_h)key); }

int32_t weir_ucx_put(
    weir_ucx_endpoint *e, weir_ucx_key *key, const weir_ucx_region *region, const void *from, size_t bytes, uint64_t to,
    weir_ucx_counter *counter) {
  ucp_request_param_t param = counted(counter);
  param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
  param.memh = region->memory;
  return taken(ucp.ucp_put_nbx(e->endpoint, from, bytes, to, (ucp_rkey_h)key, &param), counter);
}

int32_t weir_ucx_get(
    weir_ucx_endpoint *e, weir_ucx_key *key, const weir_ucx_region *region, void *to, size_t bytes, uint64_t from,
    weir_ucx_counter *counter) {
  ucp_request_param_t param = counted(counter);
  param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH;
  param.memh = region->memory;
  return taken(ucp.ucp_get_nbx(e->endpoint, to, bytes, from, (ucp_rkey_h)key, &param), counter);
}

int32_t weir_ucx_flush(weir_ucx_endpoint *e, weir_ucx_counter *counter) {
  ucp_request_param_t param = counted(counter);
  return taken(ucp.ucp_ep_flush_nbx(e->endpoint, &param), counter);
}

const char *weir_ucx_text(int32_t status) { return ucp.ucs_status_string ? ucp.ucs_status_string(status) : "no UCX"; }

#else  // built without UCX's headers: everything is refused when a worker is opened

weir_ucx *weir_ucx_open(const char *transports, bool peer_errors, char *reason, size_t reason_bytes) {
  (void)transports, (void)peer_errors;
  snprintf(reason, reason_bytes, "this program was built without UCX (Debian: libucx-dev)");
  return NULL;
}
void weir_ucx_close(weir_ucx *w) { (void)w; }
const uint8_t *weir_ucx_address(const weir_ucx *w, size_t *bytes) { return (void)w, *bytes = 0, NULL; }
int weir_ucx_event_descriptor(const weir_ucx *w) { return (void)w, -1; }
bool weir_ucx_arm(weir_ucx *w) { return (void)w, true; }
unsigned weir_ucx_progress(weir_ucx *w) { return (void)w, 0; }
weir_ucx_region *weir_ucx_register(weir_ucx *w, void *a, size_t b, int32_t *s) {
  return (void)w, (void)a, (void)b, *s = -1, NULL;
}
void weir_ucx_deregister(weir_ucx *w, weir_ucx_region *r) { (void)w, (void)r; }
const uint8_t *weir_ucx_region_key(const weir_ucx_region *r, size_t *b) { return (void)r, *b = 0, NULL; }
weir_ucx_endpoint *weir_ucx_connect(weir_ucx *w, const uint8_t *a, bool p, int32_t *s) {
  return (void)w, (void)a, (void)p, *s = -1, NULL;
}
void weir_ucx_disconnect(weir_ucx_endpoint *e, bool f, weir_ucx_counter *c) { (void)e, (void)f, (void)c; }
int32_t weir_ucx_endpoint_status(const weir_ucx_endpoint *e) { return (void)e, -1; }
void weir_ucx_free_endpoint(weir_ucx_endpoint *e) { (void)e; }
weir_ucx_key *weir_ucx_open_key(weir_ucx_endpoint *e, const uint8_t *k, int32_t *s) {
  return (void)e, (void)k, *s = -1, NULL;
}
void weir_ucx_close_key(weir_ucx_key *k) { (void)k; }
int32_t weir_ucx_put(
    weir_ucx_endpoint *e, weir_ucx_key *k, const weir_ucx_region *r, const void *f, size_t b, uint64_t t,
    weir_ucx_counter *c) {
  return (void)e, (void)k, (void)r, (void)f, (void)b, (void)t, (void)c, -1;
}
int32_t weir_ucx_get(
    weir_ucx_endpoint *e, weir_ucx_key *k, const weir_ucx_region *r, void *t, size_t b, uint64_t f,
    weir_ucx_counter *c) {
  return (void)e, (void)k, (void)r, (void)t, (void)b, (void)f, (void)c, -1;
}
int32_t weir_ucx_flush(weir_ucx_endpoint *e, weir_ucx_counter *c) { return (void)e, (void)c, -1; }
const char *weir_ucx_text(int32_t status) { return (void)status, "no UCX"; }
#endif
