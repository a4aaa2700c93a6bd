{{ config(publish='replace', watermark='last_order_id') }}

with pending as (
    select
        order_date,
        region,
        count(*) as orders,
        sum(units) as units,
        sum(total_amount) as revenue,
        sum(case when status in ('cancelled', 'returned') then 0 else total_amount end) as net_revenue,
        max(order_id) as last_order_id
    from {{ ref('int_pending_totals') }}
    {% if is_incremental() %}
        -- read with the rows that it belongs to, in one statement: both are of the same snapshot
        where order_id > (select coalesce(max(mart.last_order_id), 0) from {{ this }} as mart)
    {% endif %}
    group by order_date, region
),

counted as (
    {% if is_incremental() %}
        select
            order_date,
            region,
            orders,
            units,
            revenue,
            net_revenue,
            last_order_id
        from {{ this }}
        union all
    {% endif %}
    select
        order_date,
        region,
        orders,
        units,
        revenue,
        net_revenue,
        last_order_id
    from pending
)

select
    order_date,
    region,
    cast(sum(orders) as bigint) as orders,
    cast(sum(units) as bigint) as units,
    cast(sum(revenue) as decimal(18, 2)) as revenue,
    cast(sum(net_revenue) as decimal(18, 2)) as net_revenue,
    max(last_order_id) as last_order_id
from counted
group by order_date, region
order by order_date, region
