//! KVM by itself, without code of Trapline: distinguishes a broken host from a broken Trapline.

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::support::{TestResult, ensure};

/// Real mode: adds two numbers and writes the sum to a port.
const CODE: [u8; 11] = [
    0xBA, 0x00, 0x05, // mov dx, 0x500
    0x00, 0xD8, //       add al, bl
    0x04, b'0', //       add al, '0'
    0xEE, //             out dx, al
    0xF4, //             hlt
    0xEB, 0xFD, //       jmp to the hlt
];
const ADDRESS: u64 = 0x1000;

pub fn eleven_bytes() -> TestResult {
    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(ADDRESS), 0x1000)])?;
    memory.write_slice(&CODE, GuestAddress(ADDRESS))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: ADDRESS,
        memory_size: 0x1000,
        userspace_addr: memory.get_host_address(GuestAddress(ADDRESS))? as u64,
    };
    // SAFETY: the memory outlives the VM, which is dropped at the end of this function.
    unsafe { vm.set_user_memory_region(region)? };
    let mut vcpu = vm.create_vcpu(0)?;
    let mut segments = vcpu.get_sregs()?;
    (segments.cs.base, segments.cs.selector) = (0, 0);
    vcpu.set_sregs(&segments)?;
    let mut registers = vcpu.get_regs()?;
    (registers.rip, registers.rax, registers.rbx, registers.rflags) = (ADDRESS, 2, 3, 2);
    vcpu.set_regs(&registers)?;
    match vcpu.run()? {
        VcpuExit::IoOut(0x500, data) => ensure(data == b"5", || format!("2 + 3 gave {data:?}")),
        other => Err(format!("the vCPU left with {other:?}").into()),
    }
}
