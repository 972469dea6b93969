:FORWARD
-s 10/8 -d 192.0.2.1 -j ACCEPT;;OK
! -s 192.0.2.1/255.255.255.0 -d 0/0;;OK
-s 10.11.12.13/255.0.255.0;;OK
--src 010.0.0.1 --dst 0x0a.0.0.1;;OK
-s 192.0.2.1,192.0.2.2 -d 198.51.100.0/24,203.0.113.0/24 -j DROP;;OK
-m iprange --src-range 192.0.2.1-192.0.2.9 ! --dst-range 10.0.0.0-10.255.255.255;;OK
-p icmp --icmp-type any;;OK
-p icmp --icmp-type ping -j ACCEPT;;OK
-p icmp ! --icmp-type 3/4;;OK
-p icmp -m icmp --icmp-type fragmentation-needed;;OK
-f -j DROP;;OK
! -f -j ACCEPT;;OK
-m ttl --ttl-lt 5;;OK
-m ttl ! --ttl-eq 64;;OK
-j TTL --ttl-set 64;;OK
-i eth0 ! -o br+;;OK
*mangle
:FORWARD
-j TTL --ttl-set 64;;OK
