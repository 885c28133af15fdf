"""Makes the databases of this directory: pip install mmdb-writer==0.2.7, then run it here."""
from mmdb_writer import MMDBWriter
from netaddr import IPSet


def w(name,rows,ver=6,typ='test',**k):
    m=MMDBWriter(ver,typ,languages=[] if ver==4 else ['en'],description={} if ver==4 else 'fixture',ipv4_compatible=(ver==6),**k)
    for nets,v in rows: m.insert_network(IPSet(nets),v)
    m.to_db_file(name)
w('country-flat.mmdb',[(['192.0.2.0/24','2001:db8::/33'],{'country_code':'DE'}),(['198.51.100.0/24','2001:db8:8000::/33'],{'country_code':'JP'}),(['203.0.113.0/25'],{'country_code':''})],typ='flat country')
w('city.mmdb',[(['192.0.2.0/24','2001:db8::/33'],{'country':{'iso_code':'DE'},'continent':{'code':'EU'},'location':{'latitude':52.52,'longitude':13.4}}),(['198.51.100.0/24'],{'country':{'iso_code':'US'},'continent':{'code':'NA'},'location':{'latitude':37.8,'longitude':-122.4}}),(['203.0.113.0/24'],{'registered_country':{'iso_code':'AU'},'continent':{'code':'OC'}})],typ='city',float_type='f64')
w('asn.mmdb',[(['192.0.2.0/25'],{'autonomous_system_number':64500,'autonomous_system_organization':'Example'}),(['2001:db8::/32'],{'autonomous_system_number':64501})],typ='asn',int_type='u32')
w('country-v4.mmdb',[(['192.0.2.0/24'],{'country_code':'FR'})],ver=4,typ='flat country v4')
w('city-flat.mmdb',[(['192.0.2.0/24'],{'country_code':'DE','latitude':52.5,'longitude':13.25,'city':'Berlin'})],typ='flat city',float_type='f32')
