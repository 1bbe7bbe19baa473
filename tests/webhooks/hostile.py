"""URLs by which one could reach what is not public. The names in them lead to where `LEADS` says."""

LOOPBACKS = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"]
NOT_PUBLIC = [
    *LOOPBACKS,
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "192.88.99.1", "168.63.129.16",
    # Mapped, compatible, NAT64, 6to4, Teredo; unique-local, link-local, site-local, multicast, documentation, discard.
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]",
    "[5f00::1]", "[2001:2::1]", "[2001:20::1]", "[::ffff:0:127.0.0.1]",
]  # fmt: skip
# As getaddrinfo reads them, and people write them who mean no good.
ODD = [
    "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0", "0x0", "127.0.0.1.",
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "metadata.google.internal", "intranet",
    "router.lan", "①②⑦.⓪.⓪.①", "127。0。0。1", "localhost%2e", "%31%32%37.0.0.1",
]  # fmt: skip
HOSTS = [*NOT_PUBLIC, *ODD]
# Parsers disagree about where these lead.
CRAFTED = [
    "https://evil.example\\@127.0.0.1/", "https://evil.example@127.0.0.1/", "https://127.0.0.1#@evil.example/",
    "https://evil.example:443@127.0.0.1/", "https://127.0.0.1\\.evil.example/", "https:///127.0.0.1/",
    "https://[::1", "https://[fe80::1%25lo]/", "https://evil.example:0/", "https://evil.example:22/",
    "https://evil.example:99999/", "https://evil.example:25/", "https://evil.example:-1/", "https://evil.example/ x",
    "https://evil.example/\r\nHost: 127.0.0.1", "https://evil.example/#x", "https://evil..example/", "https://.example/",
    "//127.0.0.1/", "http://127.0.0.1/", "http://evil.example/", "ftp://127.0.0.1/", "file:///etc/passwd",
    "gopher://127.0.0.1:11211/_stats", "unix:///var/run/docker.sock", "https:127.0.0.1", "HTTPS://127.0.0.1/",
    " https://127.0.0.1/", "https://evil.example\t@127.0.0.1/", "https://例え.example/", "javascript:alert(1)",
]  # fmt: skip
# Names that anybody may have: what they lead to shows only when they are resolved.
LEADS = {f"n{n}.rebound.example": [address.strip("[]")] for n, address in enumerate(NOT_PUBLIC)} | {
    "mixed.rebound.example": ["93.184.216.34", "127.0.0.1"],
    "mixed6.rebound.example": ["2606:2800:220:1::1", "::1"],
    "scoped.rebound.example": ["fe80::1%lo"],
    "garbage.rebound.example": ["not an address"],
}
