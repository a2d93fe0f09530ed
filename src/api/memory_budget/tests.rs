use super::*;

fn permit(memory: &MemoryBudget, address: &str, account: u32) -> Permit {
    let account = Id::parse(&account.to_string());
    memory.permit(Holder::at(address.parse().unwrap()).with_account(account))
}

#[test]
fn large_permits_are_bounded_together_and_returned() {
    let memory = MemoryBudget::new(1 << 20);
    let no_client = || memory.permit(Holder::default());
    let (mut one, mut other) = (no_client(), no_client());

    assert!(one.grow_to(900 << 10).is_ok());
    assert_eq!(other.grow_to(200 << 10), Err(BudgetExhausted));
    assert!(other.grow_to(SMALL).is_ok());
    drop(one);
    assert!(other.grow_to(900 << 10).is_ok());
    assert!(other.grow_to(9 << 20).is_ok(), "one that is larger than all takes all");
    assert_eq!(no_client().grow_to(SMALL + 1), Err(BudgetExhausted));
    other.shrink_to(SMALL);
    assert!(no_client().grow_to(900 << 10).is_ok());
}

#[test]
fn a_client_has_its_share_by_network_and_by_account_unless_it_has_nothing_else() {
    let memory = MemoryBudget::new(4 << 20);
    let mut large = permit(&memory, "2001:db8::1", 1);
    assert_eq!(large.grow_to(2 << 20), Ok(()), "nothing else is under way");
    for (address, account) in [("2001:db8::2", 2), ("192.0.2.1", 1), ("2001:db8::1", 1)] {
        assert_eq!(permit(&memory, address, account).grow_to(100 << 10), Err(BudgetExhausted), "{address}");
    }
    let mut other = permit(&memory, "2001:db8:1::1", 2);
    assert_eq!(other.grow_to(100 << 10), Ok(()));
    drop(large);

    let mut many: Vec<_> = (0..20).map(|_| permit(&memory, "192.0.2.1", 3)).collect();
    let taken = many.iter_mut().filter_map(|permit| permit.grow_to(100 << 10).ok()).count();
    assert_eq!(taken, 11, "88 KiB each beyond what is not counted, of 1 MiB");
    let mut local: Vec<_> = (0..20).map(|_| memory.permit(Holder::at("127.0.0.1".parse().unwrap()))).collect();
    assert_eq!(local.iter_mut().filter_map(|permit| permit.grow_to(100 << 10).ok()).count(), 20);
    drop((many, other, local));
    assert!(memory.used().by_client.is_empty() && memory.used().bytes == 0);
}

#[test]
fn all_networks_of_a_site_have_half_of_the_memory() {
    let memory = MemoryBudget::new(4 << 20);
    let grown = |site: u16| {
        let address = |network: u16| format!("2001:db8:{site}:{network}::1").parse().unwrap();
        let mut permits: Vec<_> = (0..40).map(|network| memory.permit(Holder::at(address(network)))).collect();
        (permits.iter_mut().filter_map(|permit| permit.grow_to(100 << 10).ok()).count(), permits)
    };

    let (one, other) = (grown(1), grown(2));

    assert_eq!((one.0, other.0), (23, 23), "88 KiB each beyond what is not counted, of 2 MiB");
}
