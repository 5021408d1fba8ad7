package fdio

import "syscall"

const sysFstatat = syscall.SYS_FSTATAT
