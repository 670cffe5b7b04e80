"""etcd v3 behind a small interface, with two drivers: aioetcd3, and the standard library alone.

    store.py            what a driver offers: read at one revision, watch, write; the errors
    follow.py           a snapshot and a watch that survive every kind of outage, for any driver
    driver_aioetcd3.py  gRPC, through aioetcd3 (its quirks are cured in aioetcd3_compat.py)
    driver_http.py      etcd's JSON gateway
    settings.py         endpoints, certificates and credentials from flags and environment
    drivers.py          which driver runs
    datastore.py        Calico's resources over a store

Nothing here imports grpc until a store with the aioetcd3 driver is opened.
"""
