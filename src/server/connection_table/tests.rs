use futures_util::FutureExt;

use super::*;

const IDLE: Duration = Duration::from_secs(10);

fn table(connections: usize, share: usize) -> ConnectionTable {
    ConnectionTable::new(TableBounds { connections, share, idle: IDLE })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_network_has_its_share_and_gets_it_back() {
    let table = table(100, 2);
    let first = table.enter(Some(address("2001:db8::1"))).await;
    let second = table.enter(Some(address("2001:db8::2"))).await;

    assert!(table.enter(Some(address("2001:db8::3"))).await.is_none());
    assert!(table.enter(Some(address("2001:db8:0:1::1"))).await.is_some());
    let uncounted = [table.enter(None).await, table.enter(None).await, table.enter(None).await];
    assert!(uncounted.iter().all(Option::is_some));
    drop(first);
    assert!(table.enter(Some(address("2001:db8::3"))).await.is_some());
    drop((second, uncounted));
    assert!(table.0.table().slots.is_empty() && table.0.table().by_client.is_empty());
}

#[tokio::test]
async fn a_user_has_a_share_of_their_own_and_gets_it_back() {
    let table = table(100, 2);
    let first = table.enter_user(1000).await;
    let second = table.enter_user(1000).await;

    assert!(table.enter_user(1000).await.is_none());
    assert!(table.enter_user(1001).await.is_some());
    drop(first);
    assert!(table.enter_user(1000).await.is_some());
    drop(second);
    assert!(table.0.table().by_client.is_empty());
}

#[tokio::test]
async fn all_networks_of_a_site_have_twice_the_share_of_one() {
    let table = table(100, 2);
    let enter = |network: u16| table.enter(Some(address(&format!("2001:db8:7:{network:x}::1"))));
    let mut slots = Vec::new();
    for network in 0..4 {
        slots.push(enter(network).await.unwrap());
    }

    assert!(enter(4).await.is_none());
    assert!(table.enter(Some(address("2001:db8:8::1"))).await.is_some());
    slots.pop();
    slots.push(enter(4).await.unwrap());
    drop(slots);
    assert!(table.0.table().by_site.is_empty());
}

#[test]
fn connections_are_not_looked_at_before_one_can_have_been_idle_long_enough() {
    let table = table(10, 10);
    let slot = table.try_enter(None).ok().unwrap();
    let began = table.0.began;

    table.make_room(began + IDLE);
    // None of those that are busy now.
    let none_until = table.0.table().none_until;
    assert_eq!(none_until, Some(began + IDLE + IDLE));
    slot.set_idle(began);
    table.make_room(began + IDLE + Duration::from_secs(9));
    assert!(!slot.must_leave());

    table.make_room(began + IDLE + IDLE);
    assert!(slot.must_leave());
}

#[tokio::test]
async fn a_connection_waits_while_the_table_is_full() {
    let table = table(1, 1);
    let first = table.enter(None).await;
    let mut second = Box::pin(table.enter(None));

    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    assert!(second.await.is_some());
}

#[tokio::test]
async fn the_connections_that_have_been_idle_longest_make_room() {
    let table = table(130, 130);
    let slots: Vec<_> = (0..130).map(|_| table.try_enter(None).ok().unwrap()).collect();
    let began = table.0.began;
    for (second, slot) in slots.iter().enumerate().skip(1) {
        slot.set_idle(began + Duration::from_secs(second as u64));
    }
    let leaving =
        || slots.iter().enumerate().filter(|(_, slot)| slot.must_leave()).map(|(at, _)| at).collect::<Vec<_>>();

    table.make_room(began + IDLE);
    assert_eq!(leaving(), [0; 0], "none has been idle long enough, and the first is busy");
    let none_until = table.0.table().none_until;
    assert_eq!(none_until, Some(began + Duration::from_secs(1) + IDLE));
    table.make_room(began + IDLE + Duration::from_secs(50));
    assert_eq!(leaving(), [1, 2, 3]);
    table.make_room(began + IDLE + Duration::from_secs(51));
    assert_eq!(leaving(), [1, 2, 3], "those have not left yet");
    table.make_room(began + IDLE + Duration::from_secs(52));
    assert_eq!(leaving(), [1, 2, 3, 4, 5, 6], "those that do not leave are not waited for");
}
