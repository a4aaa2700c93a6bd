{{ config(publish='replace', watermark='last_order_id') }}

with pending as (
    select
        customer_id,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at,
        count(*) as orders,
        sum(total_amount) as total_revenue,
        max(order_id) as last_order_id
    from {{ ref('int_pending_totals') }}
    {% if is_incremental() %}
        -- read with the rows that it belongs to, in one statement: both are of the same snapshot
        where order_id > (select coalesce(max(mart.last_order_id), 0) from {{ this }} as mart)
    {% endif %}
    group by customer_id
),

counted as (
    {% if is_incremental() %}
        select
            customer_id,
            first_order_at,
            last_order_at,
            orders,
            total_revenue,
            last_order_id
        from {{ this }}
        union all
    {% endif %}
    select
        customer_id,
        first_order_at,
        last_order_at,
        orders,
        total_revenue,
        last_order_id
    from pending
),

merged as (
    select
        customer_id,
        min(first_order_at) as first_order_at,
        max(last_order_at) as last_order_at,
        sum(orders) as orders,
        sum(total_revenue) as total_revenue,
        max(last_order_id) as last_order_id
    from counted
    group by customer_id
)

select
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    customers.email,
    customers.region,
    customers.country,
    customers.signed_up_at,
    merged.first_order_at,
    merged.last_order_at,
    cast(coalesce(merged.orders, 0) as bigint) as orders,
    cast(coalesce(merged.total_revenue, 0) as decimal(18, 2)) as total_revenue,
    coalesce(merged.orders, 0) > 1 as is_repeat,
    merged.last_order_id
from {{ ref('stg_customers') }} as customers
left join merged
    on customers.customer_id = merged.customer_id
order by customers.customer_id
