// A plugin of QEMU that writes to standard error how many instructions a program executed. Debian has no header of the
// interface: what is used of its version 1, docs/devel/tcg-plugins.rst in QEMU's sources, is declared here.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t Plugin;
struct qemu_plugin_tb;  // instructions that are executed one after the other

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
void qemu_plugin_register_vcpu_tb_trans_cb(Plugin, void (*translated)(Plugin, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int operation, void* to, uint64_t number);
void qemu_plugin_register_atexit_cb(Plugin, void (*ended)(Plugin, void*), void*);

int qemu_plugin_version = 1;
static uint64_t count;

static void translated(Plugin plugin, struct qemu_plugin_tb* block) {
  (void)plugin;
  const int add = 0;
  qemu_plugin_register_vcpu_tb_exec_inline(block, add, &count, qemu_plugin_tb_n_insns(block));
}

static void ended(Plugin plugin, void* unused) {
  (void)plugin, (void)unused;
  fprintf(stderr, "instructions: %llu\n", (unsigned long long)count);
}

int qemu_plugin_install(Plugin plugin, const void* machine, int argc, char** argv) {
  (void)machine, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
  qemu_plugin_register_atexit_cb(plugin, ended, NULL);
  return 0;
}
