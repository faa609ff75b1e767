// Variables of a thread.
#pragma once

// Of the library's variables of a thread: a fixed place in each thread's block, so that no use is a call; and
// one for the library and all its users, also where these hide their symbols.
#define XTAPE_THREAD_LOCAL \
  inline constinit thread_local __attribute__((tls_model("initial-exec"), visibility("default")))
