// The least program that runs a guest with KVM. scripts/compare measures how long `trapline run` takes beside it.
//
//   bare full|split    starts a virtual machine of one CPU and 64 MiB, with KVM's interrupt controllers all in the kernel or
//                      the local APIC alone, and ends at the guest's first port write
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { MEMORY = 64 << 20, CODE = 0x1000, IOAPIC_PINS = 24 };

static int control(int file, unsigned long request, const char *name, void *argument) {
    int result = ioctl(file, request, argument);
    if (result < 0)
        err(1, "%s", name);
    return result;
}
#define CONTROL(file, request, argument) control(file, request, #request, (void *)(argument))

int main(int count, char **words) {
    int is_split = count > 1 && strcmp(words[1], "split") == 0;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        err(1, "cannot open /dev/kvm");
    int vm = CONTROL(kvm, KVM_CREATE_VM, 0);
    CONTROL(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {IOAPIC_PINS}};
    if (is_split)
        CONTROL(vm, KVM_ENABLE_CAP, &split);
    else
        CONTROL(vm, KVM_CREATE_IRQCHIP, 0);

    char *memory = mmap(0, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        err(1, "mmap");
    memcpy(memory + CODE, "\xe6\x10", 2); // out 0x10, al
    struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (unsigned long)memory};
    CONTROL(vm, KVM_SET_USER_MEMORY_REGION, &region);

    int cpu = CONTROL(vm, KVM_CREATE_VCPU, 0);
    struct kvm_run *run = mmap(0, CONTROL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
    if (run == MAP_FAILED)
        err(1, "mmap");
    struct kvm_sregs segments;
    CONTROL(cpu, KVM_GET_SREGS, &segments);
    segments.cs.base = segments.cs.selector = 0;
    CONTROL(cpu, KVM_SET_SREGS, &segments);
    struct kvm_regs registers = {.rip = CODE, .rflags = 2};
    CONTROL(cpu, KVM_SET_REGS, &registers);
    CONTROL(cpu, KVM_RUN, 0);
    if (run->exit_reason != KVM_EXIT_IO)
        errx(1, "the guest ended with the exit reason %u instead of a port write", run->exit_reason);
    return 0;
}
