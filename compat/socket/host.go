package socket

import (
	"encoding/binary"
	"net/netip"
	"syscall"
)

// Host is what a host knows of its own addresses.
type Host struct {
	Own  []netip.Addr // of all interfaces that are up
	IPv6 bool         // it has an IPv6 address that reaches beyond its links
}

// Has reports whether an address is one of the host's own. The unspecified
// ones are: they mean this host (RFC 1122 3.2.1.3).
func (h *Host) Has(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.IsUnspecified() {
		return true
	}
	for _, own := range h.Own {
		if own == addr {
			return true
		}
	}
	return false
}

// ThisHost asks the kernel for the addresses of the host.
func ThisHost() (*Host, error) {
	up, err := interfacesUp()
	if err != nil {
		return nil, err
	}
	messages, err := dump(syscall.RTM_GETADDR)
	if err != nil {
		return nil, err
	}
	h := &Host{}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
			continue
		}
		const indexAt = 4 // of the interface number in struct ifaddrmsg
		if !up[binary.NativeEndian.Uint32(m.Data[indexAt:])] {
			continue
		}
		if addr, ok := address(m); ok {
			h.Own = append(h.Own, addr)
			h.IPv6 = h.IPv6 || addr.Is6() && addr.IsGlobalUnicast()
		}
	}
	return h, nil
}

// address returns the local address of a message about one.
func address(m syscall.NetlinkMessage) (addr netip.Addr, ok bool) {
	attributes, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return addr, false
	}
	for _, a := range attributes {
		// On a point-to-point link IFA_ADDRESS is the other end.
		if a.Attr.Type == syscall.IFA_LOCAL || a.Attr.Type == syscall.IFA_ADDRESS && !ok {
			if got, valid := netip.AddrFromSlice(a.Value); valid {
				addr, ok = got, true
			}
		}
	}
	return addr, ok
}

// interfacesUp returns the numbers of the interfaces that are up.
func interfacesUp() (map[uint32]bool, error) {
	messages, err := dump(syscall.RTM_GETLINK)
	if err != nil {
		return nil, err
	}
	up := map[uint32]bool{}
	for _, m := range messages {
		const indexAt, flagsAt = 4, 8 // in struct ifinfomsg
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		if binary.NativeEndian.Uint32(m.Data[flagsAt:])&syscall.IFF_UP != 0 {
			up[binary.NativeEndian.Uint32(m.Data[indexAt:])] = true
		}
	}
	return up, nil
}

func dump(what int) ([]syscall.NetlinkMessage, error) {
	data, err := syscall.NetlinkRIB(what, syscall.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	return syscall.ParseNetlinkMessage(data)
}
