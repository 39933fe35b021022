// See weir_zmq.h.
#define _GNU_SOURCE
#include "weir_zmq.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Source: the manual pages of libzmq 4 (zmq_socket, zmq_setsockopt, zmq_poll).
enum {
  kPub = 1, kRouter = 6,
  kLinger = 17, kMaxMessage = 22, kSendHighWater = 23, kReceiveHighWater = 24, kLastEndpoint = 32, kReceiveMore = 13,
  kDontWait = 1, kSendMore = 2, kPollIn = 1,
};

typedef struct {
  void *socket;
  int fd;
  short events;
  short revents;
} poll_item;

static struct {
  void *(*zmq_ctx_new)(void);
  int (*zmq_ctx_term)(void *);
  void *(*zmq_socket)(void *, int);
  int (*zmq_close)(void *);
  int (*zmq_bind)(void *, const char *);
  int (*zmq_setsockopt)(void *, int, const void *, size_t);
  int (*zmq_getsockopt)(void *, int, void *, size_t *);
  int (*zmq_send)(void *, const void *, size_t, int);
  int (*zmq_recv)(void *, void *, size_t, int);
  int (*zmq_poll)(poll_item *, int, long);
  int (*zmq_errno)(void);
  const char *(*zmq_strerror)(int);
} zmq;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char load_error[256];

static void load(void) {
  void *library = dlopen("libzmq.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(load_error, sizeof load_error, "libzmq.so.5 cannot be loaded (Debian: libzmq5): %s", dlerror());
    return;
  }
#define X(name)                                                                                                        \
  zmq.name = (__typeof__(zmq.name))dlsym(library, #name);                                                              \
  if (!zmq.name) snprintf(load_error, sizeof load_error, "libzmq.so.5 has no %s", #name);
  X(zmq_ctx_new) X(zmq_ctx_term) X(zmq_socket) X(zmq_close) X(zmq_bind) X(zmq_setsockopt) X(zmq_getsockopt)
  X(zmq_send) X(zmq_recv) X(zmq_poll) X(zmq_errno) X(zmq_strerror)
#undef X
}

struct weir_zmq {
  void *context;
  void *sockets[2];  // what is published, and its repetition
  char endpoints[2][256];
  int wake;
};

static bool open_socket(weir_zmq *all, int place, int kind, const char *endpoint, int high_water) {
  void *socket = all->sockets[place] = zmq.zmq_socket(all->context, kind);
  if (!socket) return false;
  // A subscriber that is away must not hold the process at its end.
  int linger = 0;
  int64_t longest = 4096;
  size_t bytes = sizeof all->endpoints[place];
  return !zmq.zmq_setsockopt(socket, kLinger, &linger, sizeof linger)
    && !zmq.zmq_setsockopt(socket, kMaxMessage, &longest, sizeof longest)
    && !zmq.zmq_setsockopt(socket, kSendHighWater, &high_water, sizeof high_water)
    && !zmq.zmq_bind(socket, endpoint)
    && !zmq.zmq_getsockopt(socket, kLastEndpoint, all->endpoints[place], &bytes);
}

weir_zmq *weir_zmq_open(
    const char *endpoint, const char *replay_endpoint, int high_water, int replay_high_water, char *reason,
    size_t reason_bytes) {
  pthread_once(&once, load);
  if (load_error[0]) {
    snprintf(reason, reason_bytes, "%s", load_error);
    return NULL;
  }
  weir_zmq *all = calloc(1, sizeof *all);
  if (!all) return NULL;
  all->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  all->context = zmq.zmq_ctx_new();
  const char *tried = endpoint;
  bool is_open = all->wake >= 0 && all->context && open_socket(all, 0, kPub, endpoint, high_water);
  if (is_open && replay_endpoint) {
    // Two repetitions may wait for one peer; of more, ZeroMQ drops what is over.
    tried = replay_endpoint;
    is_open = open_socket(all, 1, kRouter, replay_endpoint, replay_high_water);
  }
  if (is_open) return all;
  snprintf(reason, reason_bytes, "%s cannot be bound: %s", tried, zmq.zmq_strerror(zmq.zmq_errno()));
  weir_zmq_close(all);
  return NULL;
}

void weir_zmq_close(weir_zmq *all) {
  for (int place = 0; place < 2; place++)
    if (all->sockets[place]) zmq.zmq_close(all->sockets[place]);
  if (all->context) zmq.zmq_ctx_term(all->context);
  if (all->wake >= 0) close(all->wake);
  free(all);
}

const char *weir_zmq_endpoint(const weir_zmq *all, bool replay) { return all->endpoints[replay]; }

static void big_endian(int64_t number, uint8_t out[8]) {
  for (int place = 0; place < 8; place++) out[place] = (uint8_t)((uint64_t)number >> (56 - 8 * place));
}

static bool send_three(
    void *socket, const uint8_t *topic, size_t topic_bytes, int64_t number, const uint8_t *payload,
    size_t payload_bytes) {
  uint8_t bytes[8];
  big_endian(number, bytes);
  return zmq.zmq_send(socket, topic, topic_bytes, kDontWait | kSendMore) >= 0
    && zmq.zmq_send(socket, bytes, sizeof bytes, kDontWait | kSendMore) >= 0
    && zmq.zmq_send(socket, payload, payload_bytes, kDontWait) >= 0;
}

bool weir_zmq_publish(
    weir_zmq *all, const uint8_t *topic, size_t topic_bytes, int64_t number, const uint8_t *payload,
    size_t payload_bytes) {
  return send_three(all->sockets[0], topic, topic_bytes, number, payload, payload_bytes);
}

void weir_zmq_wait(weir_zmq *all, int milliseconds) {
  poll_item items[2] = {{NULL, all->wake, kPollIn, 0}, {all->sockets[1], 0, kPollIn, 0}};
  zmq.zmq_poll(items, all->sockets[1] ? 2 : 1, milliseconds);
  uint64_t count;
  if (items[0].revents && read(all->wake, &count, sizeof count) < 0) return;
}

void weir_zmq_wake(weir_zmq *all) {
  uint64_t one = 1;
  // A full counter wakes as well.
  if (write(all->wake, &one, sizeof one) < 0) return;
}

size_t weir_zmq_request(weir_zmq *all, uint8_t *identity, int64_t *number) {
  if (!all->sockets[1]) return 0;
  for (;;) {
    int identity_bytes = zmq.zmq_recv(all->sockets[1], identity, WEIR_ZMQ_IDENTITY_BYTES, kDontWait);
    if (identity_bytes <= 0) return 0;
    uint8_t frame[16];
    int more = 0, frames = 0, last = 0;
    size_t bytes = sizeof more;
    // The rest of the message: an empty delimiter and the number. Parts of one message arrive together.
    while (!zmq.zmq_getsockopt(all->sockets[1], kReceiveMore, &more, &bytes) && more) {
      last = zmq.zmq_recv(all->sockets[1], frame, sizeof frame, kDontWait);
      frames++;
      if (last < 0) break;
    }
    if (frames != 2 || last != 8 || identity_bytes > WEIR_ZMQ_IDENTITY_BYTES) continue;
    uint64_t value = 0;
    for (int place = 0; place < 8; place++) value = value << 8 | frame[place];
    *number = (int64_t)value;
    return (size_t)identity_bytes;
  }
}

bool weir_zmq_reply(
    weir_zmq *all, const uint8_t *identity, size_t identity_bytes, const uint8_t *topic, size_t topic_bytes,
    int64_t number, const uint8_t *payload, size_t payload_bytes) {
  return zmq.zmq_send(all->sockets[1], identity, identity_bytes, kDontWait | kSendMore) >= 0
    && zmq.zmq_send(all->sockets[1], "", 0, kDontWait | kSendMore) >= 0
    && send_three(all->sockets[1], topic, topic_bytes, number, payload, payload_bytes);
}
