// How liburcu's headers are included, so that several of its flavours go into one translation unit.
//
// Only the headers with the inlined read sections are taken, one per flavour, by the flavour's own file: they use
// prefixed names, while the full ones bring a map of unprefixed macros and declare call_rcu for whichever flavour comes
// first. Registration and grace periods are called in the flavour's own source file.
//
// Licence: liburcu is LGPL-2.1-or-later. It is linked dynamically, and what is inlined from its headers are functions
// of less than ten lines, each of which says that it may be used so from code under any licence (LGPL-2.1, section 5).
#pragma once

#include <urcu/config.h>
#include <urcu/tls-compat.h>

// A C++ `extern thread_local` might need initialising, so that each access would go through a call that looks. The
// library's variables are C's and never do: `__thread` says so.
#if defined(CONFIG_RCU_TLS)
#undef URCU_TLS_STORAGE_CLASS
#define URCU_TLS_STORAGE_CLASS __thread
#endif

// Inlined into an instrumented program, the library's plain accesses to its own words would be reported as races, and
// its bulletproof readers as misaligned. There the library's own functions are called.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PAGE_MAP_LAB_INLINE_URCU 0
#else
#define PAGE_MAP_LAB_INLINE_URCU 1
#endif
